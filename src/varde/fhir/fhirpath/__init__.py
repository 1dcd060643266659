"""FHIRPath 2.0 on FHIR R4 JSON: `compile_path(expression)` gives a Python function. Knows no store and no validation.

syntax.py: the tree of an expression. parser.py: text to tree. values.py: nodes, dates, quantities. compiler.py: tree
to function. operators.py, functions.py, conversions.py: what the operators and functions do. tests.py: tree to Python
source for yes-or-no questions about one JSON object. model.py: what the engine has to know of FHIR's types.
"""

from varde.fhir.fhirpath.compiler import Context, Expression, compile_path
from varde.fhir.fhirpath.syntax import FhirPathError
from varde.fhir.fhirpath.values import Node

__all__ = ["Context", "Expression", "FhirPathError", "Node", "compile_path"]
