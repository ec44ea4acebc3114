"""What would a max-pool hold without the activation below it?  An activation that never falls and a max-pool may change places.

max-pool(ReLU(x)) = ReLU(max-pool(x)): the pool of x tells how far below zero a unit is that the pool of the ReLU calls silent.
"""

from dataclasses import replace

from convscope.graph.graph import Graph, Ref

OF = " of "  # in no name of a step


def pooled_name(pool: str, below: str) -> str:
    """The name of a step that a graph does not have yet: what a max-pool would make of the values of another step."""
    return f"{pool}{OF}{below}"


def with_pooled(graph: Graph, name: str) -> Graph:
    """The graph with a step of such a name beside its own; the graph itself for any other name.

    The other step has maps of the same size as what the pool reads, all of its units or some.
    """
    pool, _, below = name.partition(OF)
    if not below or name in graph.by_name or pool not in graph.by_name:
        return graph
    graph = with_pooled(graph, below)
    own, values = graph[pool], graph.by_name.get(below)
    if values is None or own.shape is None or values.shape is None or not own.layout[0] or not values.layout[0]:
        return graph
    layout = replace(own.layout[0], dims=(*values.layout[0].dims[:2], *own.layout[0].dims[2:]))
    shape = *values.shape[:2], *own.shape[2:]
    made = replace(own, name=name, args=(Ref(below), *own.args[1:]), shape=shape, layout=(layout,))
    at = graph.steps.index(own)
    return graph.with_steps((*graph.steps[:at], made, *graph.steps[at:]))
