"""How the authors of SYSU-30k ask to be cited, and the terms under which they give it out."""

CITATION = (
    "Guangrun Wang, Guangcong Wang, Xujie Zhang, Jianhuang Lai, Zhengtao Yu, Liang Lin: Weakly Supervised Person "
    "Re-ID: Differentiable Graphical Learning and A New Benchmark. IEEE Transactions on Neural Networks and Learning "
    "Systems (T-NNLS), 2020."
)
LICENSE = (
    'The dataset may not be passed on. Its authors write: "The SYSU-30k dataset is available for non-commercial '
    "research purposes only. You agree NOT to reproduce, duplicate, copy, sell, trade, resell or exploit for any "
    "commercial purposes, any portion of the images and any portion of derived data. You agree NOT to further copy, "
    "publish or distribute any portion of the SYSU-30k dataset. Except, for internal use at a single site within the "
    'same organization it is allowed to make copies of the dataset." (README.md, Agreement, in '
    "https://github.com/wanggrun/SYSU-30k)"
)
