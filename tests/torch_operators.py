"""torch's operators as calls of ours: by torch's name, functions that take torch's arguments.

`Left` is raised for a sample that asks for what NumPy, whose semantics ours are, does not have.
"""

import numpy as np

import tensorflowlite_bp as bp
import tensorflowlite_bp.numpy as bn

fft, linalg, nn, special = bp.scipy.fft, bp.scipy.linalg, bp.nn, bp.scipy.special


class Left(Exception):
    """This sample has no counterpart, for the reason given."""


def left_if(condition, reason):
    if condition:
        raise Left(reason)


def raw(x):
    """A constant as an array: indices, masks, counts."""
    return x.detach().data if isinstance(x, bp.Tensor) else x


def axes(d):
    return tuple(d) if isinstance(d, (list, tuple)) else d


def tuples(d):
    return d if d is None else (d,) if isinstance(d, int) else tuple(d)


def same(space, names):
    """Operators that have our name, or are given it after a colon."""
    pairs = [name.partition(":") for name in names.split()]
    return {theirs: getattr(space, ours or theirs.rpartition(".")[2]) for theirs, _, ours in pairs}


# torch takes complex numbers where NumPy does not; its gradient of complex Cholesky factors is not Hermitian
REAL_ONLY = {"linalg.cholesky", "logaddexp", "logcumsumexp"}

OPERATORS = {
    **same(
        bp,
        "abs acos acosh asin asinh atan atan2 atanh bmm:matmul ceil clone:copy conj copysign cos cosh "
        "deg2rad div/no_rounding_mode:divide eq:equal exp exp2 expm1 float_power:pow floor fmax fmin "
        "fmod ge:greater_equal gt:greater hypot imag isfinite isinf isnan le:less_equal log log10 log1p "
        "log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor lt:less matmul "
        "max/binary:maximum maximum min/binary:minimum minimum mm:matmul mul:multiply mv:matmul "
        "ne:not_equal neg:negative outer positive pow rad2deg ravel real reciprocal remainder sgn:sign "
        "sign signbit sin sinh sqrt square tan tanh trace trunc vdot",
    ),
    **same(bn, "angle corrcoef dot fliplr flipud heaviside inner kron sinc"),
    **same(
        nn,
        "sigmoid nn.functional.celu nn.functional.elu nn.functional.logsigmoid:log_sigmoid "
        "nn.functional.mish nn.functional.relu nn.functional.relu6 nn.functional.selu nn.functional.silu "
        "nn.functional.softsign",
    ),
    **same(
        special,
        "digamma erf erfc erfinv i0 igamma:gammainc igammac:gammaincc lgamma:gammaln special.entr "
        "special.erfcx special.i0e special.i1 special.i1e special.log_ndtr special.modified_bessel_i0:i0 "
        "special.modified_bessel_k0:k0 special.modified_bessel_k1:k1 special.ndtr special.ndtri "
        "special.scaled_modified_bessel_k0:k0e special.xlog1py special.zeta xlogy",
    ),
    **same(
        bp.linalg,
        "linalg.det linalg.eigvals linalg.inv linalg.matrix_power linalg.multi_dot linalg.svdvals",
    ),
}


def operator(*names):
    """Enter a function for torch's operators of these names."""

    def enter(f):
        OPERATORS.update(dict.fromkeys(names, f))
        return f

    return enter


def entries(**functions):
    OPERATORS.update(functions)


entries(
    add=lambda x, y, alpha=1: x + alpha * y,
    rsub=lambda x, y, alpha=1: y - alpha * x,
    __rdiv__=lambda x, y: y / x,
    __rpow__=lambda x, y: y**x,
    __rmod__=lambda x, y: y % x,
    __rmatmul__=lambda x, y: y @ x,
    clamp=lambda x, min=None, max=None: bp.clip(x, min, max),
    round=lambda x, decimals=0: bp.round(x, decimals),
    polar=lambda r, angle: r * bp.exp(1j * angle),
    nan_to_num=lambda x, nan=None, posinf=None, neginf=None: bn.nan_to_num(
        x, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf
    ),
    where=lambda x, condition, y: bp.where(raw(condition), x, y),
)
operator("polygamma/polygamma_n_2", "polygamma/polygamma_n_0")(lambda x, n: special.polygamma(n, x))
operator("logit")(lambda x, eps=None: special.logit(x if eps is None else bp.clip(x, eps, 1 - eps)))
operator("mvlgamma/mvlgamma_p_3")(lambda x, p: special.multigammaln(x, p))


# ------------------------------------------------------------------ reductions, running ones
def reduction(f):
    def call(x, dim=None, keepdim=False, dtype=None):
        extra = {} if dtype is None else {"dtype": str(dtype).removeprefix("torch.")}
        return f(x, axis=None if dim in ((), []) else axes(dim), keepdims=keepdim, **extra)

    return call


entries(
    **{
        name: reduction(getattr(bp, name)) for name in "all amax amin any argmax argmin mean prod sum".split()
    },
    nanmean=reduction(bn.nanmean),
    nansum=reduction(bn.nansum),
    logsumexp=reduction(bp.logsumexp),
    count_nonzero=reduction(bp.count_nonzero),
)
operator("max/reduction_with_dim")(lambda x, dim, keepdim=False: (bp.max(x, axis=dim, keepdims=keepdim),))


def moment(f):
    def call(x, dim=None, *old, correction=1, keepdim=False, **older):
        left_if(dim in ((), []) or isinstance(dim, bool) or old or older, "an older form")
        return f(x, axis=axes(dim), correction=1 if correction is None else correction, keepdims=keepdim)

    return call


entries(std=moment(bp.std), var=moment(bp.var))


@operator("quantile")
@operator("nanquantile")
def _(x, q, dim=None, keepdim=False, interpolation="linear"):
    f = bn.nanquantile if raw(x).size and np.isnan(raw(x)).any() else bn.quantile
    return f(x, q, axis=dim, keepdims=keepdim, method=interpolation)


def running(f):
    def call(x, dim, dtype=None):
        left_if(dtype is not None, "torch's dtypes")
        left_if(not x.ndim, "NumPy makes an array of one element of a scalar")
        return f(x, axis=dim)

    return call


entries(
    cumsum=running(bn.cumsum),
    cumprod=running(bn.cumprod),
    cummax=running(lambda x, axis: (bn.maximum.accumulate(x, axis),)),
    logcumsumexp=running(bn.logaddexp.accumulate),
    msort=lambda x: bn.sort(x, axis=0),
    sort=lambda x, dim=-1, descending=False, stable=True: (bp.sort(x, axis=dim, descending=descending),),
    diff=lambda x, n=1, dim=-1, prepend=None, append=None: bp.diff(
        x, n=n, axis=dim, prepend=prepend, append=append
    ),
    trapezoid=lambda y, x=None, dim=-1, dx=1.0: bn.trapezoid(y, x, dx=dx, axis=dim),
    cumulative_trapezoid=lambda y, x=None, dim=-1, dx=1.0: bp.scipy.integrate.cumulative_trapezoid(
        y, x, dx=dx, axis=dim
    ),
)


@operator("gradient")
def _(x, spacing=(), dim=None, edge_order=1):
    spacing = spacing if isinstance(spacing, (list, tuple)) else () if spacing is None else (spacing,)
    out = bn.gradient(x, *spacing, axis=axes(dim), edge_order=edge_order)
    return out if isinstance(out, (list, tuple)) else (out,)


@operator("cov")
def _(x, correction=1, fweights=None, aweights=None):
    left_if(aweights is not None, "torch's weights are float32")
    return bn.cov(x, ddof=correction, fweights=raw(fweights))


# ------------------------------------------------------------------ shapes
def wanted(shape):
    return tuple(shape[0]) if len(shape) == 1 and isinstance(shape[0], (list, tuple)) else shape


entries(
    broadcast_to=lambda x, shape: bp.broadcast_to(x, tuple(shape)),
    broadcast_tensors=bp.broadcast_arrays,
    block_diag=linalg.block_diag,
    cat=lambda xs, dim=0: bp.concat([x for x in xs if x.shape != (0,)] or xs, axis=dim),
    diag=lambda x, k=0: bn.diag(x, k),
    diagonal=lambda x, offset=0, dim1=0, dim2=1: bn.diagonal(x, offset, dim1, dim2),
    flip=lambda x, dims: bp.flip(x, axis=axes(dims)),
    movedim=lambda x, a, b: bp.moveaxis(x, axes(a), axes(b)),
    permute=lambda x, dims: bp.permute_dims(x, tuple(dims)),
    repeat=lambda x, *counts: bp.tile(x, wanted(counts)),
    repeat_interleave=lambda x, repeats, dim=None, output_size=None: bp.repeat(x, raw(repeats), axis=dim),
    reshape=lambda x, *shape: bp.reshape(x, wanted(shape)),
    roll=lambda x, shifts, dims=None: bp.roll(x, axes(shifts), axis=axes(dims) or None if dims != 0 else 0),
    rot90=lambda x, k=1, dims=(0, 1): bn.rot90(x, k, tuple(dims)),
    split_with_sizes=lambda x, sizes, dim=0: bp.split(x, list(np.cumsum(sizes)[:-1]), axis=dim),
    stack=lambda xs, dim=0: bp.stack(xs, axis=dim),
    tensor_split=lambda x, n, dim=0: bn.array_split(
        x, raw(n).tolist() if hasattr(n, "data") else n, axis=dim
    ),
    tile=lambda x, counts: bp.tile(x, tuple(counts)),
    transpose=lambda x, a, b: bp.swapaxes(x, a, b),
    tril=lambda x, k=0: bp.tril(x, k=k),
    triu=lambda x, k=0: bp.triu(x, k=k),
    unbind=lambda x, dim=0: bp.unstack(x, axis=dim),
    unsqueeze=lambda x, dim: bp.expand_dims(x, axis=dim),
)


def listed(xs):
    """Tensors given one by one or as a list."""
    return list(xs[0]) if isinstance(xs[0], (list, tuple)) else list(xs)


def joining(f):
    return lambda *xs, **how: f(listed(xs), **how)


entries(**{name: joining(getattr(bn, name)) for name in ("column_stack", "dstack", "hstack", "vstack")})
operator("meshgrid/list_of_tensors", "meshgrid/variadic_tensors")(
    lambda *xs, indexing="ij": bn.meshgrid(*listed(xs), indexing=indexing)
)


@operator("unfold")
def _(x, dim, size, step):
    left_if(not x.ndim, "a scalar has no axis")
    windows = bn.lib.stride_tricks.sliding_window_view(x, size, axis=dim)
    return windows[(slice(None),) * (dim % x.ndim) + (slice(None, None, step),)]


def padded(mode, **extra):
    def call(x, pad, mode=mode, value=None):
        left_if(min(pad) < 0, "NumPy's widths are not negative")
        widths = [(pad[k], pad[k + 1]) for k in range(0, len(pad), 2)][::-1]
        widths = [(0, 0)] * (x.ndim - len(widths)) + widths
        names = {"replicate": "edge", "circular": "wrap"}
        more = {} if mode != "constant" else {"constant_values": value or 0}
        return bn.pad(x, widths, mode=names.get(mode, mode), **more)

    return call


for _name in ("circular", "constant", "reflect", "replicate"):
    operator(f"nn.functional.pad/{_name}")(padded(_name))


# ------------------------------------------------------------------ indexing: reads, then writes to a copy
@operator("gather")
def _(x, dim, index, sparse_grad=False):
    index = raw(index)
    left_if(not x.ndim or index.ndim != x.ndim, "a scalar has no axis")
    inside = tuple(slice(None) if k == dim % x.ndim else slice(0, n) for k, n in enumerate(index.shape))
    return bn.take_along_axis(x[inside], index, dim)


def parts(index):
    """torch's index with the integer arrays of ours; a list of tensors is a tuple."""
    if isinstance(index, tuple) or (isinstance(index, list) and any(isinstance(i, bp.Tensor) for i in index)):
        return tuple(parts(i) for i in index)
    return raw(index)


def along(x, dim, index):
    left_if(not x.ndim, "a scalar has no axis")
    return (slice(None),) * (dim % x.ndim) + (np.atleast_1d(raw(index)),)


def written(x, place, value, write=None):
    out = x.copy()
    if write is None:
        out[place] = value
    else:
        write.at(out, place, value)
    return out


def grid(x, dim, index):
    index = raw(index)
    left_if(not x.ndim or index.ndim != x.ndim, "a scalar has no axis")
    place = list(np.ogrid[tuple(slice(0, n) for n in index.shape)])
    place[dim % x.ndim] = index
    return tuple(place)


def first(source, index):
    return source[tuple(slice(0, n) for n in index.shape)] if isinstance(source, bp.Tensor) else source


UFUNCS = {None: None, "add": np.add, "sum": np.add, "multiply": np.multiply, "prod": np.multiply,
          "amax": np.maximum, "amin": np.minimum}  # fmt: skip


@operator("scatter", "scatter_add", "scatter_reduce/sum", "scatter_reduce/prod", "scatter_reduce/amax")
def scatter(x, dim, index, source, reduce=None, include_self=True):
    left_if(not include_self, "ufunc.at works on what is there")
    return written(x, grid(x, dim, index), first(source, index), UFUNCS[reduce])


entries(
    __getitem__=lambda x, index: x[parts(index)],
    index_select=lambda x, dim, index: x[along(x, dim, index)],
    take=lambda x, index: bn.take(x, raw(index)),
    take_along_dim=lambda x, index, dim=None: bn.take_along_axis(x, raw(index), dim) if dim is not None else
    bn.take_along_axis(x, raw(index).ravel(), None),
    masked_select=lambda x, mask: (lambda x, mask: x[raw(mask)])(*bp.broadcast_arrays(x, mask)),
    masked_fill=lambda x, mask, value: bp.where(raw(mask), value, x),
    index_add=lambda x, dim, index, source, alpha=1: written(x, along(x, dim, index), alpha * source, np.add),
    index_copy=lambda x, dim, index, source: written(x, along(x, dim, index), source),
    index_fill=lambda x, dim, index, value: written(x, along(x, dim, index), value),
    index_put=lambda x, index, value, accumulate=False: written(
        x, parts(tuple(index)), value, np.add if accumulate else None
    ),
    put=lambda x, index, source, accumulate=False: written(
        x.reshape(-1), raw(index).ravel(), source.reshape(-1), np.add if accumulate else None
    ).reshape(x.shape),
    scatter_add=lambda x, dim, index, source: scatter(x, dim, index, source, "add"),
)  # fmt: skip


# ------------------------------------------------------------------ products, linear algebra
def product(c, a, b, beta=1, alpha=1):
    return beta * c + alpha * (a @ b)


entries(addmm=product, baddbmm=product)


@operator("einsum")
def _(xs, subscripts):
    return bn.einsum(subscripts, *xs)


@operator("linalg.solve")
def _(a, b, left=True):
    left_if(b.ndim != a.ndim, "stacks of vectors")
    return bp.linalg.solve(a, b) if left else bp.linalg.solve(a.mT, b.mT).mT


@operator("linalg.solve_triangular")
def solve_triangular(a, b, *, upper, left=True, unitriangular=False):
    if not left:
        return solve_triangular(a.mT, b.mT, upper=not upper, unitriangular=unitriangular).mT
    return linalg.solve_triangular(a, b, lower=not upper, unit_diagonal=unitriangular)


@operator("linalg.pinv")
def _(x, *args, rtol=None, atol=None, hermitian=False):
    left_if(args or atol is not None, "an absolute tolerance")
    return bp.linalg.pinv(x, **({} if rtol is None else {"rtol": rtol}))


@operator("linalg.svd")
def _(x, full_matrices=True):
    """Of the vectors their sizes: their phases are free."""
    left_if(full_matrices and x.shape[-1] != x.shape[-2], "vectors that the matrix does not determine")
    u, s, vh = bp.linalg.svd(x, full_matrices=False)
    return abs(u), s, abs(vh)


def sizes(w, v):
    return w, abs(v)


OPERATORS |= {
    "cross": lambda a, b, dim=-1: bp.linalg.cross(a, b, axis=dim),
    "linalg.vecdot": lambda a, b, dim=-1: bp.vecdot(a, b, axis=dim),
    "linalg.cholesky": lambda x, upper=False: bp.linalg.cholesky(x, upper=upper),
    "linalg.cond": bp.linalg.cond,
    "linalg.eig": lambda x: sizes(*bp.linalg.eig(x)),
    "linalg.eigh": lambda x, UPLO="L": sizes(*bn.linalg.eigh(x, UPLO)),
    "linalg.lu": lambda x, pivot=True: linalg.lu(x),
    "linalg.matrix_norm": lambda x, ord="fro", dim=(-2, -1), keepdim=False: bn.linalg.norm(
        x, ord, axes(dim), keepdim
    ),
    "linalg.norm/subgradients_at_zero": lambda x, ord=None, dim=None, keepdim=False: bn.linalg.norm(
        x, ord, axes(dim), keepdim
    ),
    "linalg.vector_norm": lambda x, ord=2, dim=None, keepdim=False: bp.linalg.vector_norm(
        x, ord=ord, axis=axes(dim) or None if dim != 0 else 0, keepdims=keepdim
    ),
    "linalg.qr": lambda x, mode="reduced": tuple(bp.linalg.qr(x, mode=mode)),
    "linalg.slogdet": lambda x: tuple(bp.linalg.slogdet(x)),
    "linalg.tensorinv": lambda x, ind=2: bp.linalg.tensorinv(x, ind=ind),
    "linalg.tensorsolve": lambda a, b, dims=None: bp.linalg.tensorsolve(a, b, axes=dims),
    "matrix_exp": linalg.expm,
}


def transform(f):
    return lambda x, n=None, dim=-1, norm=None: f(x, n, dim, norm)


def transform_n(f):
    def call(x, s=None, dim=None, norm=None):
        s, dim = tuples(s), tuples(dim)
        return f(x, s, tuple(range(-len(s), 0)) if dim is None and s is not None else dim, norm)

    return call


for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    operator(f"fft.{_name}")(transform(getattr(fft, _name)))
    operator(f"fft.{_name}n")(transform_n(getattr(fft, f"{_name}n")))


# ------------------------------------------------------------------ neural operations, channels first
def functional(name):
    return operator(f"nn.functional.{name}")


def channels_last(x):
    return bp.moveaxis(x, 1, -1)


def channels_first(x):
    return bp.moveaxis(x, -1, 1)


def batched(d, f):
    """f, on an example without a batch as well."""
    return lambda x, *args, **kwargs: (
        f(x, *args, **kwargs) if x.ndim == d + 2 else f(x[None], *args, **kwargs)[0]
    )


def each(d, n):
    return (n,) * d if isinstance(n, int) else tuple(n) * (d // len(n))


def convolution(d):
    def call(x, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
        if padding == "same":  # the odd zero at the end in torch as well
            total = [(n - 1) * e for n, e in zip(weight.shape[2:], each(d, dilation), strict=True)]
            padding = [(t // 2, t - t // 2) for t in total]
        elif padding != "valid":
            padding = [(p, p) for p in each(d, padding)]
        kernel = bp.permute_dims(weight, (*range(2, d + 2), 1, 0))
        how = {
            "strides": each(d, stride),
            "padding": padding,
            "dilation": each(d, dilation),
            "groups": groups,
        }
        return channels_first(nn.conv(channels_last(x), kernel, bias, **how))

    return batched(d, call)


def transposed_convolution(d):
    def call(x, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
        how = {
            "strides": each(d, stride),
            "padding": [(p, p) for p in each(d, padding)],
            "output_padding": each(d, output_padding),
            "dilation": each(d, dilation),
            "groups": groups,
        }
        kernel = bp.permute_dims(weight, (*range(2, d + 2), 1, 0))
        return channels_first(nn.conv_transpose(channels_last(x), kernel, bias, **how))

    return batched(d, call)


def pooling(f, d, x, kernel_size, stride, padding):
    how = {"strides": each(d, stride or kernel_size), "padding": [(p, p) for p in each(d, padding)]}
    return batched(d, lambda x: channels_first(f(channels_last(x), each(d, kernel_size), **how)))(x)


def max_pooling(d):
    def call(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
        left_if(each(d, dilation) != (1,) * d or ceil_mode, "options that ours has not")
        return pooling(nn.max_pool, d, x, kernel_size, stride, padding)

    return call


def mean_pooling(d):
    def call(
        x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None
    ):
        left_if(ceil_mode or divisor_override is not None, "options that ours has not")
        left_if(count_include_pad and any(each(d, padding)), "padding is never counted")
        return pooling(nn.avg_pool, d, x, kernel_size, stride, padding)

    return call


for _d in (1, 2, 3):
    functional(f"conv{_d}d")(convolution(_d))
    functional(f"conv_transpose{_d}d")(transposed_convolution(_d))
    functional(f"max_pool{_d}d")(max_pooling(_d))
    functional(f"avg_pool{_d}d")(mean_pooling(_d))


@functional("layer_norm")
def _(x, shape, weight=None, bias=None, eps=1e-5):
    return nn.layer_norm(x, weight, bias, axis=tuple(range(-len(shape), 0)), eps=eps)


@functional("rms_norm")
def _(x, shape, weight=None, eps=None):
    eps = np.finfo(x.dtype).eps if eps is None else eps
    return nn.rms_norm(x, weight, axis=tuple(range(-len(shape), 0)), eps=eps)


@functional("group_norm")
def _(x, groups, weight=None, bias=None, eps=1e-5):
    return channels_first(nn.group_norm(channels_last(x), groups, weight, bias, eps=eps))


@functional("batch_norm")
def _(x, mean, var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-5):
    left_if(x.ndim < 2, "an axis of channels is needed")
    mean, var = (np.full(x.shape[1], n) if s is None else raw(s) for s, n in ((mean, 0.0), (var, 1.0)))
    return nn.batch_norm(x, weight, bias, mean, var, training=bool(training), eps=eps, axis=1)[0]


@functional("cross_entropy")
def _(x, labels, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    soft = labels.dtype.kind == "f"
    if x.ndim > 1:
        x, labels = channels_last(x), channels_last(labels) if soft else labels
    how = {} if soft else {"ignore_index": ignore_index}
    return nn.softmax_cross_entropy(
        x, labels, weight=raw(weight), label_smoothing=label_smoothing, reduction=reduction, **how
    )


@functional("scaled_dot_product_attention")
def _(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None, enable_gqa=False):
    left_if(dropout_p or enable_gqa, "random, or heads in groups")
    return nn.scaled_dot_product_attention(q, k, v, mask=attn_mask, causal=is_causal, scale=scale)


@functional("embedding")
def _(weight, indices, padding_idx=None, max_norm=None, scale_grad_by_freq=False, **rest):
    left_if(
        padding_idx is not None or max_norm is not None or scale_grad_by_freq, "options that ours has not"
    )
    return nn.embedding(raw(indices), weight)


functional("binary_cross_entropy_with_logits")(nn.sigmoid_cross_entropy)
functional("gelu")(lambda x, approximate="none": nn.gelu(x, approximate=approximate == "tanh"))
functional("glu")(lambda x, dim=-1: nn.glu(x, dim))
functional("leaky_relu")(lambda x, negative_slope=0.01: nn.leaky_relu(x, negative_slope))
functional("linear")(lambda x, w, b=None: bp.matmul(x, w.mT if w.ndim > 1 else w) + (0 if b is None else b))
operator("softmax")(lambda x, dim: nn.softmax(x, dim))
operator("log_softmax")(lambda x, dim: nn.log_softmax(x, dim))
