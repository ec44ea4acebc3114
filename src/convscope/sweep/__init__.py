"""Whatever needs many images: gauges fed by one pass of the network.

engine.py       `sweep`: the pass
response.py     one layer's answer to a batch
reduce.py       the maps' peaks and sums, taken while they are in cache
gauges/         the statistics
checkpoint.py   saved and resumed
"""
