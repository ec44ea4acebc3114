"""Whatever needs many images: gauges fed by one pass of the network.

engine.py       `sweep`: the pass
response.py     one layer's answer to a batch
gauges/         the statistics
checkpoint.py   saved and resumed
"""
