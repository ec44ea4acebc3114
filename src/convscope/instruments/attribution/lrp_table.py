"""Which rule does LRP have for which operation?  Its composites, and the table the docs print."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

from convscope.graph import ops
from convscope.instruments.attribution import lrp_rules as rules
from convscope.instruments.attribution.lrp_kept import NOTHING, Kept
from convscope.instruments.attribution.lrp_paths import WEIGHTED
from convscope.walks.backward import Rule
from convscope.walks.treatment import Treatment, Treatments


@dataclass(frozen=True)
class Composite:
    """Which rule for which kind of layer."""

    conv: str
    dense: str
    first: str = ""  # of the layers that see the image before any other, where relevance goes down to the image
    sums: str = "epsilon"  # of whatever else is linear: residual sums, means, batch norms that could not be folded


COMPOSITES: Mapping[str, Composite] = MappingProxyType(
    {
        "epsilon_plus": Composite("z_plus", "epsilon"),
        "epsilon_plus_flat": Composite("z_plus", "epsilon", first="flat"),
        "epsilon_gamma": Composite("gamma", "epsilon"),
        "epsilon_gamma_box": Composite("gamma", "epsilon", first="box"),
        "epsilon_alpha_beta": Composite("alpha_beta", "epsilon"),
        "epsilon_alpha_beta_flat": Composite("alpha_beta", "epsilon", first="flat"),
        "zero": Composite("zero", "zero", sums="zero"),
        "epsilon": Composite("epsilon", "epsilon"),
        "gamma": Composite("gamma", "gamma"),
        "z_plus": Composite("z_plus", "z_plus"),
        "alpha_beta": Composite("alpha_beta", "alpha_beta"),
        "flat": Composite("flat", "flat", sums="flat"),
    }
)

WORDS = {
    "zero": "LRP-0",
    "epsilon": "the epsilon rule",
    "gamma": "the gamma rule",
    "z_plus": "the z+ rule",
    "alpha_beta": "the alpha-beta rule",
    "flat": "the flat rule",
    "box": "the z-box rule between black and white",
}


@dataclass(frozen=True)
class Strengths:
    """How strong the rules are, and where they enter what they keep."""

    epsilon: float
    gamma: float
    alpha: float
    stabilizer: float
    kept: Kept = NOTHING

    def layer_rule(self, name: str) -> Rule:
        """The rule of that name for a convolution or a dense layer."""
        small, kept = self.stabilizer, self.kept
        return {
            "zero": partial(rules.share, epsilon=0, kept=kept),
            "epsilon": partial(rules.share, epsilon=self.epsilon, kept=kept),
            "gamma": partial(rules.gamma, gamma=self.gamma, epsilon=small, kept=kept),
            "z_plus": partial(rules.plus, epsilon=small, kept=kept),
            "alpha_beta": partial(rules.alpha_beta, alpha=self.alpha, epsilon=small, kept=kept),
            "flat": partial(rules.flat, epsilon=small),
            "box": partial(rules.box, epsilon=small),
        }[name]

    def whole_product(self, op: str, small: float) -> Rule | None:
        """The rule of a product one of whose factors is held constant; None for what is no product."""
        if op == "mul":
            return rules.through
        return partial(rules.share, epsilon=small, kept=self.kept) if op in _MATRIX | _MATRIX_AND_SUM else None


_WINNER = Treatment("all to the largest value")
_UNCHANGED = ops.KINDS["activation"] | {"threshold", "hardshrink", "softshrink", "clamp", "clamp_min", "clamp_max"}
_UNCHANGED |= {"abs", "neg", "square", "sqrt", "pow"}
_NORMALISED = frozenset({"softmax", "log_softmax"})
_LINEAR = frozenset({"add", "sub", "rsub", "lerp", "mean", "sum", "avg_pool2d", "adaptive_avg_pool2d"})
_LINEAR |= {"upsample_bilinear2d", "upsample_bicubic2d", "grid_sampler"}
_MATRIX = frozenset({"matmul", "mm", "bmm", "einsum"})
_MATRIX_AND_SUM = frozenset({"addcmul", "addmm", "baddbmm"})


def table(composite: Composite, strengths: Strengths) -> Treatments:
    """What is done at each operation."""
    small = 0 if composite.sums == "zero" else strengths.stabilizer
    evenly = composite.sums == "flat"
    weighed: Rule = partial(rules.share, epsilon=small, kept=strengths.kept)
    share: Rule = rules.evenly if evenly else weighed
    route: Rule = partial(rules.route, kept=strengths.kept)
    back = Treatment("back to where each value came from", route)
    part = "to all alike" if evenly else "in proportion to what each adds"
    first = f"; the first: {WORDS[composite.first]}" if composite.first else ""
    conv, dense = WORDS[composite.conv], WORDS[composite.dense]
    attention = "weights of attention (softmax) are held constant, their values get all"
    return {
        **dict.fromkeys(
            WEIGHTED - {"linear"},
            Treatment(f"{conv}; as large as its map: {dense}{first}", strengths.layer_rule(composite.conv)),
        ),
        "linear": Treatment(
            f"{dense}; at each position of a map: {conv}{first}", strengths.layer_rule(composite.dense)
        ),
        **dict.fromkeys(_LINEAR, Treatment(part, share)),
        **dict.fromkeys(
            _MATRIX_AND_SUM,
            Treatment(
                f"{part}; factors of a product half each",
                partial(rules.added_product, epsilon=small, kept=strengths.kept),
            ),
        ),
        "batch_norm": Treatment(
            "folded into its convolution; else unchanged, less the part of its shift" if not evenly else "unchanged",
            rules.through if evenly else weighed,
        ),
        **dict.fromkeys(
            ("layer_norm", "group_norm", "instance_norm", "rms_norm"),
            Treatment(
                "in proportion to what each value adds, the deviation held constant" if not evenly else "unchanged",
                rules.through if evenly else partial(rules.norm, epsilon=small, kept=strengths.kept),
                "The deviation that norms divide by is held constant, as Ali et al. 2022 do",
            ),
        ),
        **dict.fromkeys(_UNCHANGED - _NORMALISED, Treatment("unchanged", rules.first_only)),
        **dict.fromkeys(
            _NORMALISED,
            Treatment("a weight, or else unchanged", rules.first_only, "Softmax is passed like any activation"),
        ),
        "mul": Treatment(
            "a gate (sigmoid, hard sigmoid, softmax, or broadcast) is held constant and its partner gets all; else half each",
            rules.halves(rules.through),
            "Gates are held constant (Arras et al. 2017), other products shared in halves (Achtibat et al. 2024)",
        ),
        "div": Treatment("all to the numerator, the denominator held constant", rules.through),
        **dict.fromkeys(
            _MATRIX,
            Treatment(f"{attention}; else half each", rules.halves(weighed), "Weights of attention are held constant"),
        ),
        "scaled_dot_product_attention": Treatment(attention, weighed, "Weights of attention are held constant"),
        **dict.fromkeys(("max_pool2d", "adaptive_max_pool2d", "amax", "amin", "max", "min"), _WINNER),
        **dict.fromkeys(("maximum", "minimum", "where"), Treatment("all to the value that was taken", route)),
        **dict.fromkeys(("cat", "stack", "upsample_nearest2d"), back),
        **dict.fromkeys(ops.PLUMBING, back),
    }
