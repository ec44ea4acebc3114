"""Why this prediction, and can that answer be trusted?  Maps with their checks, as records, pictures and a page."""

from convscope.answer.advice import Advice
from convscope.answer.answers import Answers
from convscope.answer.compare import compare
from convscope.answer.explain import Explaining, explain, explaining
from convscope.answer.record import Answer, Explanation, Refusal

__all__ = ["Advice", "Answer", "Answers", "Explaining", "Explanation", "Refusal", "compare", "explain", "explaining"]
