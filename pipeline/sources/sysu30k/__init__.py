"""SYSU-30k: 29.6 million weakly labelled crops of persons, in tars (https://github.com/wanggrun/SYSU-30k)."""

from pipeline.sources.base import Source
from pipeline.sources.sysu30k.options import Sysu30kOptions
from pipeline.sources.sysu30k.recognise import look_for_sysu30k

SYSU30K = Source(
    name="sysu30k",
    title="SYSU-30k",
    variant="sysu30k",
    options=Sysu30kOptions,
    cuts=False,
    samples_per_shard=50_000,
    recognises=look_for_sysu30k,
    converter="pipeline.sources.sysu30k.converter:Sysu30kConverter",
)
