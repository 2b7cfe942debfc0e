"""The parameters that CuPy 14.2's functions take (read off `inspect.signature`), where NumPy's take more.

What is not listed takes NumPy's. `pad` hands its keywords on, and is not here either.
"""

from typing import Any


def _table(text: str) -> dict[str, list[str]]:
    lines = [line.split() for line in text.strip().splitlines()]
    return {name: names for name, *names in lines}


FUNCTIONS = _table("""
all a axis out keepdims
any a axis out keepdims
arange start stop step dtype
argmax a axis dtype out keepdims
argmin a axis dtype out keepdims
argsort a axis kind
bincount x weights minlength
broadcast_to array shape
clip a a_min a_max out
concatenate tup axis out dtype casting
convolve a v mode
copyto dst src casting where
count_nonzero a axis
cumprod a axis dtype out
cumsum a axis dtype out
diagonal a offset axis1 axis2
dot a b out
expand_dims a axis
eye N M k dtype order
flip a axis
histogram x bins range density weights
linspace start stop num endpoint retstep dtype axis
max a axis out keepdims
mean a axis dtype out keepdims
median a axis out overwrite_input keepdims
min a axis out keepdims
moveaxis a source destination
percentile a q axis out overwrite_input method keepdims interpolation
prod a axis dtype out keepdims
quantile a q axis out overwrite_input method keepdims interpolation
reshape a newshape order copy
roll a shift axis
searchsorted a v side sorter
sort a axis kind
squeeze a axis
stack tup axis out dtype casting
std a axis dtype out ddof keepdims
sum a axis dtype out keepdims
swapaxes a axis1 axis2
take a indices axis out
take_along_axis a indices axis
tensordot a b axes
tile A reps
trace a offset axis1 axis2 dtype out
transpose a axes
tril m k
triu m k
unique ar return_index return_inverse return_counts axis equal_nan
var a axis dtype out ddof keepdims
""")
METHODS = _table("""
all axis out keepdims
any axis out keepdims
argmax axis out dtype keepdims
argmin axis out dtype keepdims
argpartition kth axis
argsort axis kind
choose choices out mode
clip min max out
compress condition axis out
cumprod axis dtype out
cumsum axis dtype out
diagonal offset axis1 axis2
dot b out
flatten order
max axis out keepdims
mean axis dtype out keepdims
min axis out keepdims
prod axis dtype out keepdims
ptp axis out keepdims
ravel order
repeat repeats axis
round decimals out
searchsorted v side sorter
squeeze axis
std axis dtype out ddof keepdims
sum axis dtype out keepdims
swapaxes axis1 axis2
take indices axis out
trace offset axis1 axis2 dtype out
var axis dtype out ddof keepdims
view dtype type
""")
MODULES = {
    "cupy": FUNCTIONS,
    "cupy.linalg": _table("""
cholesky a
cond x p
det a
eig a
eigh a UPLO
eigvals a
eigvalsh a UPLO
inv a
lstsq a b rcond
matrix_power M n
matrix_rank M tol
norm x ord axis keepdims
pinv a rcond
qr a mode
slogdet a
solve a b
svd a full_matrices compute_uv
tensorinv a ind
tensorsolve a b axes
"""),
    "cupy.fft": _table("""
fft a n axis norm
fftn a s axes norm
hfft a n axis norm
ifft a n axis norm
ifftn a s axes norm
ihfft a n axis norm
irfft a n axis norm
irfftn a s axes norm
rfft a n axis norm
rfftn a s axes norm
"""),
    "cupyx.scipy.linalg": _table("""
expm a
lu a permute_l overwrite_a check_finite
lu_factor a overwrite_a check_finite
lu_solve lu_and_piv b trans overwrite_b check_finite
solve_triangular a b trans lower unit_diagonal overwrite_b check_finite
"""),
    "cupyx.scipy.fft": _table("""
dct x type n axis norm overwrite_x
dst x type n axis norm overwrite_x
idct x type n axis norm overwrite_x
idst x type n axis norm overwrite_x
"""),
    "cupyx.scipy.signal": _table("""
convolve in1 in2 mode method
lfilter b a x axis zi
"""),
}


def check(table: dict[str, list[str]], name: str, args: Any, kwargs: Any) -> None:
    """Raises TypeError for arguments that CuPy's function of that name does not have."""
    names = table.get(name)
    if names is None:
        return
    unknown = set(kwargs) - set(names)
    if unknown or len(args) > len(names):
        raise TypeError(f"cupy's {name} takes ({', '.join(names)}), not {len(args)} and {sorted(kwargs)}")
