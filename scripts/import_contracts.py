"""A contract type for import-linter, which itself can only forbid: what a package may import, besides itself."""

import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from grimp import ImportGraph
from importlinter import Contract, ContractCheck, fields, output
from importlinter.application.contract_utils import AlertLevel, remove_ignored_imports_and_report
from importlinter.domain.imports import ImportExpression, Module


class AllowedImportsContract(Contract):
    """The source package imports the standard library, itself and the allowed packages, and nothing else.

    ``ignore_imports`` lists single exceptions (``importer -> imported``); one that is not needed breaks the contract.
    """

    type_name = "allowed_imports"

    source_module = fields.ModuleField()
    allowed_modules = fields.SetField(subfield=fields.ModuleField(), required=False)
    ignore_imports = fields.SetField(subfield=fields.ImportExpressionField(), required=False)

    def check(self, graph: ImportGraph, verbose: bool) -> ContractCheck:  # noqa: ARG002 - import-linter passes it
        # What is declared as a field holds what the field has parsed.
        exceptions = cast(Sequence[ImportExpression], self.ignore_imports)
        ignored = remove_ignored_imports_and_report(graph, exceptions, AlertLevel.ERROR)
        source = cast(Module, self.source_module).name
        packages = (source, *(module.name for module in cast(Iterable[Module], self.allowed_modules or ())))
        illegal = [
            f"{importer} imports {imported} (line {line})"
            for importer in sorted({source} | graph.find_descendants(source))
            for imported in sorted(graph.find_modules_directly_imported_by(importer))
            if not _is_allowed(imported, packages)
            for line in _lines(graph, importer, imported)
        ]
        return ContractCheck(
            kept=not illegal, ignored_import_count=ignored.ignored_import_count, metadata={"illegal": illegal}
        )

    def render_broken_contract(self, check: ContractCheck) -> None:
        for line in check.metadata["illegal"]:
            output.print_error(line)


def _is_allowed(imported: str, packages: tuple[str, ...]) -> bool:
    if imported.partition(".")[0] in sys.stdlib_module_names:
        return True
    return any(imported == package or imported.startswith(f"{package}.") for package in packages)


def _lines(graph: ImportGraph, importer: str, imported: str) -> Iterator[int]:
    for details in graph.get_import_details(importer=importer, imported=imported):
        yield details["line_number"]
