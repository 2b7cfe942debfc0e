"""Training steps to measure: a module per network, written once for all frameworks.

A workload has

    STEPS                       how many steps' losses are compared before anything is timed
    CASES                       {name: arguments}: "optimizer", a key of RATE, and what the functions take
    RATE                        {optimizer: learning rate}
    parameters(**case)          {name: Parameter}, float32
    batch(**case)               (x, y); images channels last
    loss(F, p, x, y, **case)    the mean loss, from a framework's functions F and its parameters p by name
    keras(keras, **case)        where it can be said in layers: the same as a model, not yet compiled, its
                                trainable weights in the order of `parameters`; `keras` is Keras or ours
    by_hand(optimizer, **case)  where somebody has written it: NumPy with the derivative by hand, as a step()

The functions of F are listed in adapters/ours.py.
"""

from . import cnn, lstm, mlp, transformer

WORKLOADS = {"mlp": mlp, "cnn": cnn, "lstm": lstm, "transformer": transformer}
