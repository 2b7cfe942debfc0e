// LSTM, GRU and simple recurrent layers over whole sequences, forward and backward.
//
// recurrent.cpp: the products, the walk through time and the threads; recurrent_isa.cpp: one step of the cell
// for some rows. Arrays kept for backward are in the order of time, (steps, batch, ...):
//
//     kind         gates, `kept` times units       slopes, `pre` times units
//     lstm         i f g o                         the same
//     gru after    g z r q, q = h u_g + b_g        of x w_g; z r q
//     gru before   z r g rh, rh = r h              z r g
//     rnn          h                               h
#pragma once

#include <stdint.h>

#include "tflbp/isa.h"

namespace tflbp {

enum Recurrent { kLstm, kGruAfter, kGruBefore, kTanhRnn, kReluRnn, kRecurrents };

struct RecurrentShape {
    Recurrent kind;
    int64_t batch, steps, features, units;
    bool reverse;  // steps are taken from the last to the first

    bool in_order() const { return steps == 1 || (batch == 1 && !reverse); }  // x is, as it comes
    // Fewer rows leave a product for each step short of work: then x w of all steps goes first.
    bool projects_first() const { return batch < 16; }

    int64_t columns() const { return units * (kind == kLstm ? 4 : kind <= kGruBefore ? 3 : 1); }  // of w, u
    int64_t kept() const { return units * (kind <= kGruBefore ? 4 : 1); }
    int64_t pre() const { return units * (kind <= kGruAfter ? 4 : kind == kGruBefore ? 3 : 1); }
};

// x (batch, steps, features), w (features, columns), u (units, columns), b (columns), (2, columns) for "gru
// after", or null; h0, c0 (batch, units). mask (batch, steps) or null: 0 where a state stays as it is.
template <class T>
struct RecurrentForward {
    RecurrentShape shape;
    const T *x, *w, *u, *b, *h0, *c0;
    const uint8_t* mask;
    bool keeps;          // hs and cs of every step, for backward; else of two
    T* ordered;          // room for x in the order of time, where x is not
    T *gates, *hs, *cs;  // (steps, batch, kept); (steps + 1 or 2, batch, units); cs: LSTM only
    T* out;              // (batch, steps, units) in the order of the steps taken, or null
};

// Cotangents: g_out (batch, steps, units), g_h, g_c (batch, units); each may be null. A gradient that is not
// wanted is null.
template <class T>
struct RecurrentBackward {
    RecurrentShape shape;
    const T *g_out, *g_h, *g_c, *x, *w, *u;
    const uint8_t* mask;
    const T *gates, *hs, *cs;
    T *ordered, *slopes,
        *turned;  // room: x, or its gradient, in the order of time; (steps, batch, pre); u's size
    T *dx, *dh0, *dc0, *dw, *du, *db;
};

// Both false when out of memory.
template <class T>
bool recurrent_forward(const RecurrentForward<T>& args);
template <class T>
bool recurrent_backward(const RecurrentBackward<T>& args);

// Some rows of one step. A row whose mask is 0 keeps its state.
template <class T>
struct CellForward {
    int64_t rows, units;
    const uint8_t* mask;  // of the first row, or null
    int64_t mask_step;
    T* gates;
    const T *h_before, *c_before;
    T *h, *c;
};
// dh, dc: in, the cotangents of h and c; out, those of h_before (without what comes through u) and c_before.
template <class T>
struct CellBackward {
    int64_t rows, units;
    const uint8_t* mask;
    int64_t mask_step;
    const T *gates, *h_before, *h, *c_before, *c;
    T *dh, *dc, *slopes;
    const T* through_reset;  // gru before: the cotangent of rh
};
template <class T>
struct RecurrentTable {
    void (*forward[kRecurrents])(const CellForward<T>&);
    void (*backward[kRecurrents])(const CellBackward<T>&);
    void (*reset)(const CellForward<T>&);            // gru before: z, r and rh
    void (*reset_backward)(const CellBackward<T>&);  // and what comes back through rh
};
TFLBP_DECLARE_TABLE(RecurrentTable<float>, recurrent_f32)
TFLBP_DECLARE_TABLE(RecurrentTable<double>, recurrent_f64)

}  // namespace tflbp
