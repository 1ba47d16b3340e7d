"""What City1M's authors ask of those who use their dataset (https://github.com/LinlyAC/City1M-dataset)."""

CITATION = (
    "Quan Zhang, Kaiheng Dang, Jian-Huang Lai, Zhanxiang Feng, Xiaohua Xie: Modeling 3D Layout for Group "
    "Re-Identification. CVPR 2022."
)
LICENSE = (
    'The dataset is given out on application, under its access agreement: "If you are interested in our dataset, '
    'please feel free to fill in the application form (PDF)" (README.md and City1MAccessAgreement.pdf in '
    "https://github.com/LinlyAC/City1M-dataset)."
)
