// Maximum and mean over windows, forward and backward.
//
// Limit: memory, each input read once (windows overlap in cache). A position's window is a short list of
// offsets; the channels at each offset are one run of memory, taken a fixed number at a time so that maximum
// and index, or the sum, or a window's cotangents, stay in registers. Deterministic: an example belongs to
// one job, whose windows add in order.
#include "lanes.h"
#include "tflbp/parallel.h"
#include "tflbp/pooling.h"
#include "vector_math.h"

namespace tflbp {
namespace TFLBP_ISA {
namespace {

// The elements of a window that are inside the input: their places in it, and where they are.
struct Places {
    int count;
    int64_t at[kMostPlaces];
    uint8_t place[kMostPlaces];
};

inline void find(const PoolShape& s, const int64_t* o, Places* p) {
    int64_t first[kPoolAxes], from[kPoolAxes], to[kPoolAxes];
    for (int a = 0; a < kPoolAxes; ++a) {
        first[a] = o[a] * s.stride[a] - s.low[a];
        from[a] = first[a] < 0 ? -first[a] : 0;
        to[a] = smaller(s.window[a], s.in[a] - first[a]);
    }
    int count = 0;
    for (int64_t i = from[0]; i < to[0]; ++i)
        for (int64_t j = from[1]; j < to[1]; ++j)
            for (int64_t k = from[2]; k < to[2]; ++k) {
                const int64_t row = ((first[0] + i) * s.in[1] + first[1] + j) * s.in[2] + first[2] + k;
                p->at[count] = row * s.channels;
                p->place[count++] = (uint8_t)((i * s.window[1] + j) * s.window[2] + k);
            }
    p->count = count;
}

inline int64_t size_of(const int64_t* n) { return n[0] * n[1] * n[2]; }

// body(places, first output element) for every position of example b; the whole window's offsets are found
// once and moved along where no edge is near.
template <class F>
inline void each_position(const PoolShape& s, int64_t b, const F& body) {
    Places p;
    p.count = 0;
    int64_t o[kPoolAxes], out = b * size_of(s.out) * s.channels;
    for (o[0] = 0; o[0] < s.out[0]; ++o[0])
        for (o[1] = 0; o[1] < s.out[1]; ++o[1]) {
            bool whole = false;
            for (o[2] = 0; o[2] < s.out[2]; ++o[2], out += s.channels) {
                const int64_t start = o[2] * s.stride[2] - s.low[2];
                const bool inside = start >= 0 && start + s.window[2] <= s.in[2];
                if (inside && whole)
                    for (int i = 0; i < p.count; ++i) p.at[i] += s.stride[2] * s.channels;
                else
                    find(s, o, &p);
                whole = inside;
                body(p, out);
            }
        }
}

template <class F>
inline void each_example(const PoolShape& s, const F& body) {
    if (s.batch * size_of(s.out) * s.channels <= kSerialBelow)
        for (int64_t b = 0; b < s.batch; ++b) body(b);
    else
        parallel_for(s.batch, body);
}

template <class T>
void max_forward(const PoolShape& s, const T* x, T* out, uint8_t* index) {
    each_example(s, [&](int64_t b) {
        const T* from = x + b * size_of(s.in) * s.channels;
        each_position(s, b, [&](const Places& p, int64_t o) {
            each_block<T>(s.channels, [&](int64_t c, auto lanes) {
                typedef decltype(lanes) L;
                auto most = L::load(from + p.at[0] + c);
                auto at = L::indices(p.place[0]);
                for (int i = 1; i < p.count; ++i) {
                    const auto now = L::load(from + p.at[i] + c);
                    const auto stays = (now <= most) | (most != most);  // the first NaN wins, and stays
                    most = stays ? most : now;
                    at = stays ? at : L::indices(p.place[i]);
                }
                L::store(out + o + c, most);
                if (index) L::store_index(index + o + c, at);
            });
        });
    });
}

// Whether every input belongs to at most one window, and to one if none lies between them.
struct Cover {
    bool apart, all;
};
inline Cover cover_of(const PoolShape& s) {
    Cover c{true, true};
    for (int a = 0; a < kPoolAxes; ++a) {
        c.apart &= s.stride[a] >= s.window[a];
        c.all &= s.stride[a] == s.window[a] && s.low[a] == 0 && s.out[a] * s.window[a] == s.in[a];
    }
    return c;
}

template <class T>
void max_input_grad(const PoolShape& s, const T* g, const uint8_t* index, T* dx) {
    const Cover cover = cover_of(s);
    each_example(s, [&](int64_t b) {
        const int64_t size = size_of(s.in) * s.channels;
        T* to = dx + b * size;
        if (!cover.all) memset(to, 0, (size_t)size * sizeof(T));
        each_position(s, b, [&](const Places& p, int64_t o) {
            each_block<T>(s.channels, [&](int64_t c, auto lanes) {
                typedef decltype(lanes) L;
                const auto from = L::load(g + o + c);
                const typename L::V zero{};
                const auto at = L::index(index + o + c);
                for (int i = 0; i < p.count; ++i) {
                    T* v = to + p.at[i] + c;
                    const auto share = at == L::indices(p.place[i]) ? from : zero;
                    L::store(v, cover.apart ? share : L::load(v) + share);
                }
            });
        });
    });
}

template <class T>
void avg_forward(const PoolShape& s, const T* x, T* out) {
    each_example(s, [&](int64_t b) {
        const T* from = x + b * size_of(s.in) * s.channels;
        each_position(s, b, [&](const Places& p, int64_t o) {
            each_block<T>(s.channels, [&](int64_t c, auto lanes) {
                typedef decltype(lanes) L;
                auto sum = L::load(from + p.at[0] + c);
                for (int i = 1; i < p.count; ++i) sum += L::load(from + p.at[i] + c);
                L::store(out + o + c, sum / (T)p.count);
            });
        });
    });
}

template <class T>
void avg_input_grad(const PoolShape& s, const T* g, T* dx) {
    const Cover cover = cover_of(s);
    each_example(s, [&](int64_t b) {
        const int64_t size = size_of(s.in) * s.channels;
        T* to = dx + b * size;
        if (!cover.all) memset(to, 0, (size_t)size * sizeof(T));
        each_position(s, b, [&](const Places& p, int64_t o) {
            const T part = T(1) / (T)p.count;
            each_block<T>(s.channels, [&](int64_t c, auto lanes) {
                typedef decltype(lanes) L;
                const auto share = L::load(g + o + c) * part;
                for (int i = 0; i < p.count; ++i) {
                    T* v = to + p.at[i] + c;
                    L::store(v, cover.apart ? share : L::load(v) + share);
                }
            });
        });
    });
}

}  // namespace

extern const PoolTable<float> pool_f32 = {max_forward<float>, max_input_grad<float>, avg_forward<float>,
                                          avg_input_grad<float>};
extern const PoolTable<double> pool_f64 = {max_forward<double>, max_input_grad<double>, avg_forward<double>,
                                           avg_input_grad<double>};

}  // namespace TFLBP_ISA
}  // namespace tflbp
