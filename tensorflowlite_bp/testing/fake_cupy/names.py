"""Which of NumPy's and SciPy's functions CuPy 14 has, and which of them wait for the device."""

# Functions that wait for the device, since the size of their result depends on values.
WAITS = (
    "nonzero argwhere flatnonzero unique unique_values unique_counts unique_inverse unique_all bincount "
    "histogram histogram2d histogramdd union1d intersect1d setdiff1d setxor1d trim_zeros extract compress"
).split()
CUBLAS = ("matmul", "dot", "tensordot", "einsum", "inner", "outer", "vdot")
MANY = (  # those that take a list of arrays
    "concatenate concat stack vstack hstack dstack column_stack row_stack broadcast_arrays meshgrid "
    "einsum result_type can_cast promote_types ix_ select choose piecewise select"
).split()
CREATION = "arange linspace logspace eye identity tri full zeros ones indices fromfunction".split()
HOST = (
    "result_type can_cast promote_types min_scalar_type broadcast_shapes isscalar ndim shape size issubdtype"
).split()

# What NumPy 2 has and CuPy 14 lacks; and of its submodules, what CuPy has.
LACKS = frozenset(
    "asmatrix block bmat emath errstate frompyfunc geomspace histogram_bin_edges insert ma matrix matvec "
    "einsum_path memmap nanpercentile nanquantile ndenumerate nditer object_ polyder polydiv polyint rec "
    "seterr spacing str_ typecodes unstack vecdot vecmat void longdouble complex256 datetime64 timedelta64 "
    "False_ ScalarType True_ busday_count busday_offset busdaycalendar bytes_ character clongdouble "
    "datetime_as_string datetime_data f2py flexible float128 fromregex get_include getbufsize geterr "
    "geterrcall info is_busday little_endian nested_iters recarray record sctypeDict setbufsize seterrcall "
    "show_runtime char strings core dtypes ctypeslib test isnat lib linalg fft random ndarray ufunc".split()
)
LINALG = (
    "LinAlgError cholesky cond cross det eig eigh eigvals eigvalsh inv lstsq matmul matrix_power matrix_rank "
    "matrix_transpose norm pinv qr slogdet solve svd tensorinv tensorsolve"
).split()
FFT = (
    "fft fft2 fftfreq fftn fftshift hfft ifft ifft2 ifftn ifftshift ihfft irfft irfft2 irfftn rfft rfft2 "
    "rfftfreq rfftn"
).split()
SPECIAL = (
    "bdtr bdtrc bdtri beta betainc betaincinv betaln binom boxcox boxcox1p btdtr btdtri cbrt chdtr chdtrc "
    "chdtri cosdg cosm1 cotdg digamma ellipeinc ellipj ellipk ellipkinc ellipkm1 entr erf erfc erfcinv erfcx "
    "erfinv exp1 exp10 exp2 expi expit expm1 expn exprel fdtr fdtrc fdtri gamma gammainc gammaincc "
    "gammainccinv gammaincinv gammaln gammasgn gdtr gdtrc huber i0 i0e i1 i1e inv_boxcox inv_boxcox1p j0 j1 "
    "k0 k0e k1 k1e kl_div lambertw log1p log_expit log_ndtr log_softmax loggamma logit logsumexp lpmv "
    "multigammaln nbdtr nbdtrc nbdtri ndtr ndtri pdtr pdtrc pdtri poch polygamma pseudo_huber psi radian "
    "rel_entr rgamma round shichi sici sinc sindg softmax sph_harm sph_harm_y spherical_yn tandg "
    "wright_bessel xlog1py xlogy y0 y1 yn zeta zetac"
).split()
ATOMIC = ("int32", "uint32", "uint64", "float32", "float64")  # what CUDA has atomic operations for
UFUNCS = (  # the rest of NumPy's ufuncs, CuPy has not
    "absolute arccos arccosh add arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_count invert "
    "left_shift bitwise_or right_shift bitwise_xor cbrt ceil conjugate copysign cos cosh deg2rad degrees "
    "divide divmod equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod frexp gcd greater "
    "greater_equal heaviside hypot isfinite isinf isnan lcm ldexp less less_equal log log10 log1p log2 "
    "logaddexp logaddexp2 logical_and logical_not logical_or logical_xor matmul maximum minimum remainder "
    "modf multiply negative nextafter not_equal positive power rad2deg radians reciprocal rint sign signbit "
    "sin sinh sqrt square subtract tan tanh trunc"
).split()
