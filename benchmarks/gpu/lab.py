"""The two sides of a comparison: CuPy's arrays and torch's tensors over the same memory, and a clock.

Device time is that between two CUDA events, after a write that is larger than the second-level cache: it
empties the cache, and lets the host run ahead, so that launching is not in the figure. CuPy and torch both
work on the default stream.
"""

import statistics
import time

import numpy as np

from tensorflowlite_bp.backend.cuda import random


class Lab:
    """dry: on the stand-in for CuPy, and torch on the CPU."""

    def __init__(self, dry, l2):
        import cupy

        import tensorflowlite_bp as bp
        from tensorflowlite_bp import backend
        from tensorflowlite_bp.backend.cuda import cuda_host

        self.dry, self.cupy, self.bp = dry, cupy, bp
        backend.set_backend("cupy")
        self.lib, self.host = backend.named("cupy"), cuda_host()
        self.torch, self.without_torch = self._torch()
        self._flush = None if dry else cupy.empty(max(4 * l2, 512 << 20), np.uint8)
        self._seed = 0

    def _torch(self):
        """(torch, why it is not there)."""
        try:
            import torch
        except ImportError:
            return None, 'torch is not installed: pip install "torch"'
        if not self.dry and not torch.cuda.is_available():
            return None, f"torch {torch.__version__} has no CUDA: install a build with it from pytorch.org"
        # float32 is float32 on both sides
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        torch.backends.cudnn.benchmark = True
        return torch, ""

    # ------------------------------------------------------------------ arrays
    def normal(self, *shape, dtype="float32"):
        """(CuPy's, torch's) of the same memory; the next call gives other numbers."""
        self._seed += 1
        dtype = self.bp.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
        return self.both(random.normal(self.host, shape, dtype, seed=self._seed, offset=0))

    def integers(self, high, *shape):
        self._seed += 1
        return self.both(self.bp.random.Generator(self._seed).integers(high, shape=shape))

    def both(self, x):
        return x, None if self.torch is None else self.tensor(x)

    def tensor(self, x):
        narrow = x.dtype == self.bp.bfloat16
        plain = x.view("int16") if narrow else x
        out = self.torch.from_numpy(plain.get()) if self.dry else self.torch.from_dlpack(plain)
        return out.view(self.torch.bfloat16) if narrow else out

    def error(self, found, want):
        """The largest relative distance of two lists of arrays, of a sample of each."""
        return max(self._distance(a, b) for a, b in zip(found, want, strict=True))

    def _distance(self, a, b):
        if self.torch is not None and isinstance(b, self.torch.Tensor):
            b = b.detach()
        assert tuple(a.shape) == tuple(b.shape), f"{tuple(a.shape)}, not {tuple(b.shape)}"
        a, b = self.sample(a), self.sample(b)
        off = np.linalg.norm(a - b) / max(np.linalg.norm(b), 1e-30)
        return float("inf") if np.isnan(off) else float(off)

    def sample(self, x):
        """About a million of the elements, as float64 on the host."""
        step = max(1, int(np.prod(x.shape, dtype=int)) >> 20)
        flat = x.reshape(-1)[::step]
        if self.torch is not None and isinstance(x, self.torch.Tensor):
            return flat.double().cpu().numpy()
        return flat.get().astype(np.float64)

    # ------------------------------------------------------------------ time
    def wait(self):
        self.cupy.cuda.Device().synchronize()

    def once(self, step):
        """Seconds of one call on the device."""
        if self.dry:
            start = time.perf_counter()
            step()
            return time.perf_counter() - start
        start, stop = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        self._flush.fill(0)
        start.record()
        step()
        stop.record()
        stop.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, stop) / 1e3

    def times(self, steps, seconds, least=5):
        """{name: {seconds, spread, ratio to "ours"}} of {name: step}, visited in turn for about `seconds`."""
        for step in steps.values():
            for _ in range(2):
                step()
        self.wait()
        found = {name: [] for name in steps}
        end = time.perf_counter() + seconds
        while len(found["ours"]) < least or time.perf_counter() < end:
            for name, step in steps.items():
                found[name].append(self.once(step))
            if len(found["ours"]) >= 200:
                break
        return {name: summary(visits, found["ours"]) for name, visits in found.items()}

    def free(self):
        """Both pools: memory that one holds the other lacks."""
        if self.dry:
            return
        self.cupy.get_default_memory_pool().free_all_blocks()
        if self.torch is not None:
            self.torch.cuda.empty_cache()


def summary(visits, ours):
    """Median, half the interquartile range relative to it, and how many times ours it takes."""
    median = statistics.median(visits)
    low, _, high = statistics.quantiles(visits, n=4)
    ratio = statistics.median(a / b for a, b in zip(visits, ours, strict=True))
    return {"seconds": median, "spread": round((high - low) / 2 / median, 3), "ratio": round(ratio, 3)}
