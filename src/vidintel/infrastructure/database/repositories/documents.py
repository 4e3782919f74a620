"""The values that the database keeps as JSON documents: the results of a job, by kind, and its spec.

The documents have the shape of the domain's types: to rename a field there is to rename it in every stored document.
Reading ignores fields that it does not know, and fills in the default of one that is missing; so during an update,
processes of both versions read what the other wrote.
"""

from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter

from vidintel.domain.analysis import AnalysisSpec
from vidintel.domain.results import JobResults

Document = dict[str, Any]

_SPEC = TypeAdapter(AnalysisSpec)
_RESULTS = TypeAdapter(JobResults)


def spec_to_document(spec: AnalysisSpec) -> Document:
    document: Document = _SPEC.dump_python(spec, mode="json")
    return document


def spec_of_document(document: Mapping[str, Any]) -> AnalysisSpec:
    """Raises the domain's `ValidationError` for a spec that is no longer valid."""
    return _SPEC.validate_python(document)


def results_to_documents(results: JobResults) -> Mapping[str, Document]:
    """The document of each kind that ``results`` hold."""
    documents: dict[str, Document | None] = _RESULTS.dump_python(results, mode="json")
    return {kind: document for kind, document in documents.items() if document is not None}


def results_of_documents(documents: Mapping[str, Document]) -> JobResults:
    """Kinds that are not known here are left out."""
    return _RESULTS.validate_python(documents)
