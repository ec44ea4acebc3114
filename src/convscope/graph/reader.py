"""One reading of an exported program, node by node: what each becomes in the graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import sympy
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import OutputKind
from torch.fx import GraphModule, Node

from convscope.errors import ExportError
from convscope.graph import axes, ops
from convscope.graph.decomposed import ValueOf, plain_form
from convscope.graph.graph import INPUT, Graph, Param, Ref, Size, Step, leaves, substitute
from convscope.graph.layout import Layout, plain
from convscope.graph.names import Naming
from convscope.graph.nodes import (
    flattened,
    is_check,
    is_computing,
    numbers,
    op_name,
    region,
    same_memory,
    same_value,
    writes,
)

EXAMPLE_BATCH = 13  # nothing is computed with it; not 1, which export would take for a constant
_LISTS = ("split", "chunk", "unbind")  # operations whose value is a list
_RANDOM = ("dropout", "feature_dropout", "alpha_dropout", "feature_alpha_dropout")


class AliasedWriteError(Exception):
    """An in-place operation writes into a value that another name also shows."""


@dataclass
class Reader:
    """One reading: the steps so far, and what each node of the exported program became."""

    program: ExportedProgram
    steps: list[Step] = field(default_factory=list)
    tensors: dict[str, torch.Tensor] = field(default_factory=dict)
    sources: dict[str, tuple[str, ...]] = field(default_factory=dict)
    became: dict[Node, Any] = field(default_factory=dict)  # Ref, Param, Size, or a number
    symbols: dict[sympy.Symbol, sympy.Symbol] = field(default_factory=dict)
    layouts: dict[str, tuple[Layout | None, ...]] = field(default_factory=dict)
    own: dict[Node, Any] = field(default_factory=dict)  # the same before any later write into it
    order: dict[Node, int] = field(default_factory=dict)
    placeholders: set[Node] = field(default_factory=set)  # the inputs of the program, not those of a region in it
    naming: Naming = field(init=False)
    n_batch: int = field(init=False)

    def graph(self) -> Graph:
        nodes = list(self.program.graph.nodes)
        every = list(flattened(nodes))
        self.order = {node: i for i, node in enumerate(every)}
        input_shape = self._read_inputs([node for node in nodes if node.op == "placeholder"])
        self.naming = Naming([node for node in every if node.op == "call_function"], is_computing)
        self._read_nodes(nodes)
        outputs = self._outputs(next(node for node in nodes if node.op == "output"))
        self.steps = [_as_scores(step) if step.name in outputs.values() else step for step in self.steps]
        used = self._used(outputs)
        steps = [step for step in self.steps if step.name in used]
        modules = {path: name for path, name in self.naming.modules(self.own).items() if name in used or name == INPUT}
        reads = {name for step in steps for name in step.params}
        return Graph(
            steps=tuple(steps),
            tensors={name: tensor for name, tensor in self.tensors.items() if name in reads},
            input_shape=input_shape,
            outputs=outputs,
            modules=modules,
            sources=self.sources,
            learned={name: self.program.state_dict[name].numel() for name in self.program.graph_signature.parameters},
            any_size=len(self.symbols) > 1,
            input_layout=self.layouts[INPUT][0],
        )

    def _read_nodes(self, nodes: Sequence[Node]) -> None:
        for node in nodes:
            inside = region(node)
            if inside is not None:
                self._read_region(node, *inside)
            elif node.op == "call_function":
                self._read_call(node)
                self.own[node] = self.became.get(node)
            elif node.op == "get_attr":
                self._read_constant(node)

    def _read_region(self, node: Node, module: GraphModule, given: tuple[Any, ...]) -> None:
        """The operations inside a `with` of the model, as if they stood outside."""
        nodes = list(module.graph.nodes)
        for entry, value in zip((n for n in nodes if n.op == "placeholder"), given, strict=True):
            self.became[entry] = self.became[value] if isinstance(value, Node) else value
        self._read_nodes(nodes)
        leaving = nodes[-1].args[0]
        assert isinstance(leaving, (tuple, list))
        self.became[node] = [self.became[value] if isinstance(value, Node) else value for value in leaving]

    def _used(self, outputs: Mapping[str, str]) -> set[str]:
        used = set(outputs.values())
        for step in reversed(self.steps):
            if step.name in used:
                used.update(step.inputs)
        return used

    def _read_inputs(self, placeholders: Sequence[Node]) -> tuple[int, int, int]:
        signature = {spec.arg.name: spec for spec in self.program.graph_signature.input_specs}
        state, constants = self.program.state_dict, self.program.constants
        images = []
        self.placeholders.update(placeholders)
        for node in placeholders:
            target = signature[node.name].target
            if target is None:
                images.append(node)
                continue
            self.tensors[target] = (state[target] if target in state else constants[target]).detach()
            self.became[node] = Param(target)
        tensors = [node for node in images if isinstance(node.meta.get("val"), torch.Tensor)]
        if len(images) != 1 or len(tensors) != 1 or tensors[0].meta["val"].dim() != 4:
            found = ", ".join(f"{node.name} {_described(node)}" for node in images) or "none"
            raise ExportError(
                "A network of one image was expected.",
                f"The inputs of this one are: {found}.",
                "Wrap the model in a module whose forward takes one tensor, batch channel y x.",
            )
        (image,) = images
        self.became[image] = Ref(INPUT)
        for axis, size in zip(("batch", None, "y", "x"), image.meta["val"].shape, strict=True):
            if axis and isinstance(size, torch.SymInt) and size.node.expr.is_Symbol:
                self.symbols[size.node.expr] = sympy.Symbol(axis)
        shape = numbers(image.meta["val"].shape)
        self.layouts[INPUT] = (plain(*shape),)
        self.n_batch = shape[0]
        return shape[1], shape[2], shape[3]

    def _read_constant(self, node: Node) -> None:
        target = str(node.target)
        value = getattr(self.program.graph_module, target, None)
        if isinstance(value, torch.Tensor):
            self.tensors[target] = value.detach()
            self.became[node] = Param(target)

    def _read_call(self, node: Node) -> None:
        op = op_name(node)
        if is_check(node):
            return
        if isinstance(node.meta.get("val"), (torch.SymInt, int)):
            self.became[node] = self._size(node.meta["val"])
            return
        if not isinstance(node.target, torch._ops.OpOverload) and op != "getitem":
            raise _unknown(node, self.naming)
        args, kwargs = self._arguments(node)
        if op in ops.IDENTITIES:
            if op in _RANDOM and node.args[2:3] == (True,) and node.args[1]:
                raise _random(node, self.naming)
            self.became[node] = args[0]
            return
        if op == "getitem" and isinstance(args[0], (tuple, list)):
            self.became[node] = args[0][args[1]]
            return
        function = self._function(node)
        if not any(isinstance(leaf, (Ref, Size)) for leaf in leaves((args, kwargs))):
            self._fold_constant(node, function, args, kwargs)
            if writes(node):
                self._rebind(node)
            return
        self._add_call(node, op, function, args, kwargs)

    def _add_call(self, node: Node, op: str, function: Any, args: tuple, kwargs: dict) -> None:
        """A step for an operation; of one that gives several values, a step for each that is used, the first being the layer's."""
        name = self.naming.name(node, op)
        plain, plain_args = plain_form(function, args)
        if plain is not function:
            op = plain._schema.name.split("::")[1]
        values = node.meta["val"]
        if isinstance(values, torch.Tensor) or op in _LISTS:
            self._add_step(node, op, plain, plain_args, kwargs, name)
            return
        used = {0} | {int(user.args[1]) for user in node.users if op_name(user) == "getitem"}  # type: ignore[arg-type]
        found: list[Any] = [None] * len(values)
        for index in sorted(used):
            one = plain if plain is not function and index == 0 else ValueOf(function, index)
            given = plain_args if one is plain else args
            self._add_step(node, op, one, given, kwargs, name if index == 0 else f"{name}.value{index}", values[index])
            found[index] = self.became[node]
        self.became[node] = found

    def _add_step(
        self, node: Node, op: str, function: Any, args: tuple, kwargs: dict, name: str, value: Any = None
    ) -> None:
        value = node.meta["val"] if value is None else value
        values = value if isinstance(value, (tuple, list)) else (value,)
        shapes = [numbers(value.shape) if isinstance(value, torch.Tensor) else () for value in values]
        if op == "reshape" and len(shapes) == 1:  # one form for view, flatten, reshape_as; safe in any memory format
            function, kwargs = torch.ops.aten.reshape.default, {}
            args = (args[0], [self._size(size, i) for i, size in enumerate(node.meta["val"].shape)])
        if op == "getitem":
            found: tuple[Layout | None, ...] = (self.layouts[args[0].step][args[1]],)
        else:
            found = axes.layouts(op, substitute([*args, *kwargs.values()], self._layout), shapes, self.n_batch)
        self.layouts[name] = found
        single = isinstance(value, torch.Tensor)
        self.steps.append(
            Step(
                name=name,
                op=op,
                function=function,
                args=args,
                kwargs=kwargs,
                shape=tuple(
                    None if isinstance(self._size(s, i), Size) else int(s) for i, s in enumerate(values[0].shape)
                )
                if single
                else None,
                module=self.naming.path(node),
                where=self.naming.where(node),
                layout=found,
            )
        )
        self.became[node] = Ref(name)
        if writes(node):
            self._rebind(node)

    def _layout(self, argument: Any) -> Any:
        if isinstance(argument, Ref):
            return self.layouts[argument.step][0]
        return None if isinstance(argument, (Param, torch.dtype)) else argument

    def _arguments(self, node: Node) -> tuple[tuple, dict]:
        def resolve(argument: Any) -> Any:
            if isinstance(argument, Node):
                return self.became[argument]
            if isinstance(argument, torch.SymInt):
                return self._size(argument)
            return argument

        args = torch.fx.node.map_aggregate(node.args, resolve)
        kwargs = torch.fx.node.map_aggregate(node.kwargs, resolve)
        return substitute(tuple(args), lambda a: a), substitute(dict(kwargs), lambda a: a)

    def _size(self, size: Any, dim: int = -1) -> Any:
        """A size as a number, or as an expression in the sizes of the input."""
        expression = sympy.sympify(size if isinstance(size, int) else size.node.expr)
        if expression == EXAMPLE_BATCH == self.n_batch and dim == 0 and not self.symbols:
            expression = sympy.Symbol(
                "batch"
            )  # export sometimes forgets, without a word, that the batch may be of any size
        expression = expression.subs(self.symbols)
        unknown = expression.free_symbols - {sympy.Symbol(name) for name in ("batch", "y", "x")}
        if unknown:
            raise ExportError(
                "The size of every value must follow from the size of the images.",
                f"One depends on what the images show ({', '.join(map(str, unknown))}).",
                "Networks that select among positions by their content cannot be analysed.",
            )
        return int(expression) if expression.is_Integer else Size(expression)

    def _function(self, node: Node) -> Any:
        """The operation, in its form that writes into nothing."""
        if not writes(node):
            return node.target
        target: Any = node.target
        packet = getattr(torch.ops.aten, target._schema.name.split("::")[1].removesuffix("_"), None)
        if packet is None or target._overloadname not in packet.overloads():
            raise AliasedWriteError
        return getattr(packet, target._overloadname)

    def _rebind(self, node: Node) -> None:
        """From here on, every name of the value that was written into means the new one. Refuses if a part of it has a name."""
        now = self.order[node]
        target = node.args[0]
        assert isinstance(target, Node)
        if target.op == "placeholder" and target not in self.placeholders:
            raise AliasedWriteError  # written inside a region, where the name outside would not follow
        same = same_value(target)
        for member in same_memory(target):
            if member in same:
                self.became[member] = self.became[node]
            elif self.order[member] < now and any(self.order[user] > now for user in member.users):
                raise AliasedWriteError

    def _fold_constant(self, node: Node, function: Any, args: tuple, kwargs: dict) -> None:
        """A value that does not depend on the images is computed now, once."""
        values = substitute((args, kwargs), lambda a: self.tensors[a.name] if isinstance(a, Param) else a)
        with torch.no_grad():
            result = function(*values[0], **values[1])
        made_from = [name for leaf in leaves((args, kwargs)) if isinstance(leaf, Param) for name in self._origin(leaf)]
        if isinstance(result, torch.Tensor):
            self.became[node] = self._keep(node.name, result, made_from)
        elif isinstance(result, (tuple, list)):
            self.became[node] = [self._keep(f"{node.name}.{i}", r, made_from) for i, r in enumerate(result)]
        else:
            self.became[node] = result

    def _origin(self, param: Param) -> tuple[str, ...]:
        return self.sources.get(param.name, (param.name,))

    def _keep(self, name: str, tensor: torch.Tensor, made_from: Sequence[str]) -> Param:
        name = f"constant.{name}"
        self.tensors[name] = tensor
        self.sources[name] = tuple(dict.fromkeys(made_from))
        return Param(name)

    def _outputs(self, node: Node) -> dict[str, str]:
        specs = self.program.graph_signature.output_specs  # changed buffers stand among them
        values = [value for value, spec in zip(node.args[0], specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]  # type: ignore[arg-type]
        structure = torch.utils._pytree.tree_unflatten(values, self.program.call_spec.out_spec)
        found = {}
        for name, value in named_outputs(structure):
            became = self.became.get(value) if isinstance(value, Node) else None
            if isinstance(became, Ref):
                found[name] = became.step
        if not found:
            raise ExportError("The output must depend on the images.", "It does not.", "")
        return found


def named_outputs(structure: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """The outputs of a model by name: keys, or positions; a single one is called 'logits'."""
    if isinstance(structure, Mapping) or hasattr(structure, "items"):
        parts = [(str(key), value) for key, value in structure.items()]
    elif isinstance(structure, (tuple, list)):
        parts = [(f"output{i}" if not prefix else str(i), value) for i, value in enumerate(structure)]
    else:
        return [(prefix or "logits", structure)]
    return [pair for key, value in parts for pair in named_outputs(value, f"{prefix}.{key}".strip("."))]


def _as_scores(step: Step) -> Step:
    """An output of two dimensions is one score for each class, whatever way its axes came."""
    layout = step.layout[0]
    if step.shape is None or len(step.shape) != 2 or step.shape[0] is not None or (layout and layout.is_plain):
        return step
    assert step.shape[1] is not None
    return replace(step, layout=(axes.guess((EXAMPLE_BATCH, step.shape[1]), EXAMPLE_BATCH),))


def _unknown(node: Node, naming: Naming) -> ExportError:
    return ExportError(
        "The network was to be read into primitive operations.",
        f"'{op_name(node)}' in module '{naming.path(node)}' is not one ({naming.where(node)}).",
        "Switch autocast off inside the model, and write control flow that follows a tensor's values without torch.cond.",
    )


def _random(node: Node, naming: Naming) -> ExportError:
    return ExportError(
        "The network was to be read as it is when it is not being trained.",
        f"It drops values at random there too, in module '{naming.path(node)}' ({naming.where(node)}).",
        "Call eval() before exporting; in a forward, write F.dropout(x, training=self.training).",
    )


def _described(node: Node) -> str:
    value = node.meta.get("val")
    return str(tuple(str(s) for s in value.shape)) if isinstance(value, torch.Tensor) else str(type(value).__name__)
