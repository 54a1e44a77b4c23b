"""More cases for arrays.py: functions that NumPy, SciPy's cousins in PyTorch and newer MLX have. `add` gets what arrays.py makes cases with."""

import mlx.core as mx
import numpy as np
import torch
import torch.nn.functional as F


def add(case, enc, f32):
    T = torch.tensor
    ids = lambda *list: np.array(list, np.int32)
    narrow = lambda w: [narrow(v) for v in w] if isinstance(w, (list, tuple)) else np.array(w.numpy() if isinstance(w, torch.Tensor) else w, order="C")
    coded = lambda x: {"$array": enc(x)}

    def check(name, args, want, tolerance=1e-5):
        case(name, args, narrow(want), tolerance)

    x, y, v, m, b, c = f32(3, 5), f32(3, 5), f32(7), f32(4, 4), f32(2, 3, 4), f32(2, 4, 5)
    xs = np.array([-30, -9, -8, -3, -1, -0.1, 0, 0.1, 1, 3, 7.9, 8, 8.1, 30], np.float32)
    p, q = np.array([0.01, 0.3, 0.5, 0.8, 0.999], np.float32), np.array([0.3, 1, 2.5, 10, 33], np.float32)
    exact = lambda f, *a: f(*[T(z.astype(np.float64)) if isinstance(z, np.ndarray) else z for z in a]).numpy().astype(np.float32)
    for name in ["i0", "i0e", "i1", "i1e", "ndtr", "expit", "entr", "gammaln"]:
        check(name, [xs], exact(getattr(torch.special, name), xs), 2e-5)
    check("ndtri", [p], exact(torch.special.ndtri, p), 2e-5)
    check("xlog1py", [p, p], exact(torch.special.xlog1py, p, p))
    for n in range(4):
        check("polygamma", [n, q], exact(torch.special.polygamma, n, q), 2e-5)
    check("zeta", [2.5, q], exact(torch.special.zeta, np.array(2.5), q), 2e-5)
    check("multigammaln", [q + 1, 2], exact(torch.special.multigammaln, q + 1, 2), 2e-5)
    z = np.array([0, 1, -1, 0.5, 3, 1e-3, 1e30, np.inf, -np.inf, np.nan], np.float32)
    with np.errstate(all="ignore"):
        check("frexp", [z[:9]], np.frexp(z[:9]), 0)
        check("modf", [z], np.modf(z), 0)
        check("sinc", [np.array([0, 0.25, 0.5, 1, -1, 2.5, 1000.5], np.float32)], np.sinc([0, 0.25, 0.5, 1, -1, 2.5, 1000.5]).astype(np.float32), 2e-6)
        check("hypot", [z, z[::-1].copy()], np.hypot(z, z[::-1]), 1e-6)
        check("heaviside", [z, np.float32([2])], np.heaviside(z, np.float32(2)), 0)
    check("digamma", [np.array([0.0, -0.0, -1, -0.5, 2], np.float32)], torch.digamma(T([0.0, -0.0, -1, -0.5, 2])), 4e-6)
    check("kaiser", [7, 5], np.kaiser(7, 5).astype(np.float32))
    check("frac", [x], torch.frac(T(x)), 0)
    holes = x.copy()
    holes[0, 1] = holes[2, 2] = np.nan
    for name in ["nansum", "nanprod", "nancumsum", "nancumprod", "nanargmax", "nanargmin", "nanmedian"]:
        for axis in [None, 0, -1]:
            check(name, [holes, axis], getattr(np, name)(holes, axis=axis))
    check("nanquantile", [holes, 0.3, 1, True], np.nanquantile(holes, 0.3, axis=1, keepdims=True))
    check("nanpercentile", [holes, 70, 0], np.nanpercentile(holes, 70, axis=0))
    check("quantile", [x, [0.1, 0.5], 0], np.quantile(x, [0.1, 0.5], axis=0))
    check("median", [np.zeros((2, 0), np.float32), 1], np.full(2, np.nan, np.float32))
    for mode in ["linear_ramp", "maximum", "mean", "median", "minimum"]:
        check("pad", [x, [[2, 1], [0, 3]], mode], np.pad(x, ((2, 1), (0, 3)), mode=mode))

    check("mm", [x, y.T.copy()], x @ y.T)
    check("bmm", [b, c], b @ c)
    check("mv", [x, v[:5].copy()], x @ v[:5])
    check("addmv", [v[:3].copy(), x, v[:5].copy(), 2, 3], torch.addmv(T(v[:3]), T(x), T(v[:5]), alpha=2, beta=3))
    check("addr", [x, v[:3].copy(), v[:5].copy()], torch.addr(T(x), T(v[:3]), T(v[:5])))
    check("baddbmm", [b[:, :, :1].copy(), b, c], torch.baddbmm(T(b[:, :, :1]), T(b), T(c)))
    check("addbmm", [x, b, c], torch.addbmm(T(x), T(b), T(c)))
    check("addcmul", [x, y, y, 2], torch.addcmul(T(x), T(y), T(y), value=2))
    check("addcdiv", [x, y, y, 2], torch.addcdiv(T(x), T(y), T(y), value=2))
    check("lerp", [x, y, 0.3], torch.lerp(T(x), T(y), 0.3))
    check("rsub", [x, y, 2], torch.rsub(T(x), T(y), alpha=2))
    check("threshold", [x, 0.1, 20], F.threshold(T(x), 0.1, 20))
    check("angle", [x], np.angle(x).astype(np.float32))
    check("minmax", [x, 0], (x.min(0), x.max(0)))
    check("varMean", [x, 1], torch.var_mean(T(x), 1))
    check("stdMean", [x], torch.std_mean(T(x)))
    for order in [0, 1, 2, 3]:
        check("cdist", [x, y, order], torch.cdist(T(x), T(y), order))
    check("pairwiseDistance", [x, y], F.pairwise_distance(T(x), T(y)))
    check("dist", [x, y, 3], torch.dist(T(x), T(y), 3))
    check("cosineSimilarity", [x, y], F.cosine_similarity(T(x), T(y)))
    check("normalize", [x], F.normalize(T(x)))
    check("cumulativeTrapezoid", [x], torch.cumulative_trapezoid(T(x)))
    image = f32(2, 3, 4, 8)
    last = lambda t: t.numpy().transpose(0, 2, 3, 1)
    check("pixelShuffle", [image, 2], last(F.pixel_shuffle(T(np.ascontiguousarray(image.transpose(0, 3, 1, 2))), 2)), 0)
    image = f32(2, 4, 6, 3)
    check("pixelUnshuffle", [image, 2], last(F.pixel_unshuffle(T(np.ascontiguousarray(image.transpose(0, 3, 1, 2))), 2)), 0)

    for parts in [3, 5]:
        check("chunk", [v, parts], torch.chunk(T(v), parts), 0)
    check("tensorSplit", [v, 3], torch.tensor_split(T(v), 3), 0)
    check("narrow", [x, 1, 1, 3], x[:, 1:4], 0)
    check("indexSelect", [x, 1, ids(0, 2)], x[:, [0, 2]], 0)
    check("indexAdd", [x, 0, ids(0, 2, 0), y], T(x).index_add(0, T([0, 2, 0]), T(y)))
    check("indexCopy", [x, 0, ids(2, 0, 1), y], T(x).index_copy(0, T([2, 0, 1]), T(y)), 0)
    check("indexFill", [x, 1, ids(1, 3), 7], T(x).index_fill(1, T([1, 3]), 7), 0)
    check("maskedFill", [x, y > 0, 5], T(x).masked_fill(T(y) > 0, 5), 0)
    check("maskedScatter", [x, y > 0, y], T(x).masked_scatter(T(y) > 0, T(y)), 0)
    check("maskedSelect", [x, y > 0], x[y > 0], 0)
    check("compress", [ids(0, 1, 1), x, 0], np.compress([0, 1, 1], x, 0), 0)
    check("extract", [y > 0, x], np.extract(y > 0, x), 0)
    check("diagEmbed", [x], torch.diag_embed(T(x)), 0)
    check("fillDiagonal", [x, 9], T(x).clone().fill_diagonal_(9), 0)
    check("choose", [ids(0, 1, 0, 1, 1), [x[0].copy(), y[1].copy()]], np.choose([0, 1, 0, 1, 1], [x[0], y[1]]), 0)
    check("unfold", [x, 1, 3, 2], T(x).unfold(1, 3, 2), 0)
    check("resize", [x, [2, 10]], np.resize(x, (2, 10)), 0)
    check("rollaxis", [b, 2], np.rollaxis(b, 2), 0)
    check("rollaxis", [b, 0, 2], np.rollaxis(b, 0, 2), 0)
    check("kthvalue", [x, 2], [t.to(torch.int32) if t.dtype == torch.int64 else t for t in torch.kthvalue(T(x), 2)], 0)
    check("renorm", [x, 2, 0, 1], torch.renorm(T(x), 2, 0, 1))
    votes = np.array([[1, 2, 2, 3], [4, 4, 1, 1]], np.float32)
    check("mode", [votes], [t.to(torch.int32) if t.dtype == torch.int64 else t for t in torch.mode(T(votes))], 0)
    check("slice", [b, 1, "...", 2], b[1, ..., 2], 0)
    check("slice", [b, "newaxis", [0, 1], "newaxis"], b[None, 0:1, None], 0)
    check("sliceUpdate", [x, y[0].copy(), -1], np.where(np.arange(3)[:, None] == 2, y[0], x), 0)

    one, two = np.array([3, 1, 2, 2], np.float32), np.array([2, 5], np.float32)
    for name in ["union1d", "intersect1d", "setdiff1d", "setxor1d"]:
        check(name, [one, two], getattr(np, name)(one, two), 0)
    check("uniqueConsecutive", [np.array([1, 1, 2, 2, 1], np.float32)], np.array([1, 2, 1], np.float32), 0)
    check("flatnonzero", [ids(0, 1, 0, 2)], np.flatnonzero([0, 1, 0, 2]), 0)
    check("trimZeros", [np.array([0, 0, 1, 0, 2, 0], np.float32)], np.array([1, 0, 2], np.float32), 0)
    check("uniqueCounts", [one], np.unique(one, return_counts=True), 0)

    for name in ["polyadd", "polysub", "polymul"]:
        check(name, [v, v[:3].copy()], getattr(np, name)(v, v[:3]))
    check("polydiv", [v, v[:3].copy()], [z.astype(np.float32) for z in np.polydiv(v, v[:3])] if len(np.polydiv(v, v[:3])[1]) == 2 else [np.polydiv(v, v[:3])[0], np.zeros(2)], 1e-3)
    check("polyder", [v, 3], np.polyder(v, 3))
    check("polyint", [v, 2], np.polyint(v, 2))
    check("poly", [v[:3].copy()], np.poly(v[:3]).astype(np.float32))
    check("polyfit", [np.linspace(0, 2, 7, dtype=np.float32), v, 2], np.polyfit(np.linspace(0, 2, 7), v, 2), 1e-4)

    spd = (m @ m.T + 4 * np.eye(4)).astype(np.float32)
    check("linalg.vectorNorm", [b, 3, [0, 2]], np.linalg.vector_norm(b, ord=3, axis=(0, 2)))
    check("linalg.matrixNorm", [b, "nuc"], np.linalg.matrix_norm(b, ord="nuc"))
    check("linalg.cond", [spd], np.linalg.cond(spd), 1e-4)
    check("linalg.cond", [spd, 1], np.linalg.cond(spd, 1), 1e-4)
    check("linalg.svdvals", [b], np.linalg.svdvals(b), 1e-4)
    check("linalg.logdet", [spd], torch.logdet(T(spd)), 1e-4)
    for upper in [False, True]:
        triangle = (np.triu(m) if upper else np.tril(m)) + 3 * np.eye(4, dtype=np.float32)
        check("linalg.triInv", [triangle, upper], np.linalg.inv(triangle), 1e-4)
    lu, pivots = mx.linalg.lu_factor(mx.array(m), stream=mx.cpu)
    check("linalg.luFactor", [m], [np.array(lu), np.array(pivots)], 1e-4)
    check("linalg.luSolve", [np.array(lu), np.array(pivots), spd[:, :2].copy()], np.linalg.solve(m, spd[:, :2]), 2e-3)
    check("linalg.choleskySolve", [m[:, :2].copy(), np.linalg.cholesky(spd)], np.linalg.solve(spd, m[:, :2]), 1e-4)
    check("linalg.multiDot", [[x, y.T.copy(), x]], np.linalg.multi_dot([x, y.T, x]), 1e-4)
    check("linalg.matrixExp", [m], torch.linalg.matrix_exp(T(m)), 2e-4)
    check("linalg.tensorinv", [np.eye(24, dtype=np.float32).reshape(4, 6, 8, 3)], np.linalg.tensorinv(np.eye(24).reshape(4, 6, 8, 3)), 1e-5)

    grid = np.arange(-600, 600, 7, dtype=np.float32) * 0.77
    tiny = f32(100) * 0.02
    check("toFp8", [grid], np.array(mx.to_fp8(mx.array(grid))), 0)
    check("toFp8", [tiny], np.array(mx.to_fp8(mx.array(tiny))), 0)
    codes = np.arange(256).astype(np.uint8)
    check("fromFp8", [codes, "f32"], np.array(mx.from_fp8(mx.array(codes), mx.float32)), 0)
    signal = f32(2, 60)
    window = np.hanning(15).astype(np.float32)
    for options, named in [
        ({"nFft": 16, "hopLength": 5}, {"n_fft": 16, "hop_length": 5}),
        ({"nFft": 16, "winLength": 9, "onesided": False, "padMode": "constant"}, {"n_fft": 16, "win_length": 9, "onesided": False, "pad_mode": "constant"}),
        ({"nFft": 15, "center": False, "norm": "ortho", "window": coded(window)}, {"n_fft": 15, "center": False, "norm": "ortho", "window": mx.array(window)}),
    ]:
        spectra = np.array(mx.fft.stft(mx.array(signal), **named))
        check("fft.stft", [signal, options], [spectra.real, spectra.imag], 2e-5)
        if "window" not in options:
            named.pop("pad_mode", None)
            parts = {"real": coded(np.ascontiguousarray(spectra.real)), "imag": coded(np.ascontiguousarray(spectra.imag))}
            check("fft.istft", [parts, options], np.array(mx.fft.istft(mx.array(spectra), **named)), 2e-4)
    logits, targets = f32(3, 4, 7), np.array([[0, 6, 2, 3]] * 3, np.int32)
    check("fast.crossEntropy", [logits, targets], np.array(mx.fast.cross_entropy(mx.array(logits), mx.array(targets))))
    q5, k5, v5 = f32(1, 5, 2, 8), f32(1, 5, 2, 8) * np.float32(0.2), f32(1, 5, 4, 6)
    gamma, beta = 1 / (1 + np.exp(-f32(1, 5, 4))), 1 / (1 + np.exp(-f32(1, 5, 4)))
    check("fast.gatedDeltaUpdate", [q5, k5, v5, gamma, beta], [np.array(z) for z in mx.fast.gated_delta_update(*map(mx.array, (q5, k5, v5, gamma, beta)))], 1e-4)

    # options one after the other, as MLX has them
    image, kernel = f32(2, 7, 8, 4), f32(6, 3, 2, 2)
    check("conv2d", [image, kernel, [2, 1], [1, 0], [1, 2], 2], np.array(mx.conv2d(mx.array(image), mx.array(kernel), (2, 1), (1, 0), (1, 2), 2)), 2e-5)
    line, kernel = f32(2, 9, 4), f32(6, 3, 4)
    check("convTranspose1d", [line, kernel, 2, 1, 1], np.array(mx.conv_transpose1d(mx.array(line), mx.array(kernel), 2, 1, 1)), 2e-5)
    kernel = f32(6, 3, 2, 4)
    want = mx.conv_general(mx.array(image), mx.array(kernel), padding=([1, 0], [2, 1]), input_dilation=2, kernel_dilation=2, flip=True)
    check("convGeneral", [image, kernel, {"padding": [[1, 0], [2, 1]], "inputDilation": 2, "kernelDilation": 2, "flip": True}], np.array(want), 2e-5)
    for name, args in [("fft", [x, 7]), ("ifft", [x, 2, 0]), ("fft", [x, None, 0, "ortho"]), ("fft2", [b, [2, 6]])]:
        want = getattr(np.fft, name)(*args)
        check(f"fft.{name}", args, [want.real.astype(np.float32), want.imag.astype(np.float32)])
    check("softmax", [b, [0, 2]], np.array(mx.softmax(mx.array(b), axis=(0, 2))))
