"""Checks of banks: how they are registered, kept and given up."""

from typing import Any

from hitchpost.api import (
    AnyMemoryBank,
    Api,
    MemoryBank,
    NoArguments,
    QueryDocumentsRequest,
    UnregisterMemoryBankRequest,
)
from hitchpost.conformance.check import CheckFailed, NotApplicable, check, seen_error
from hitchpost.conformance.harness import PROVIDER_ID, Harness
from hitchpost.conformance.memory.subject import MemorySubject, for_each_bank_type, found, insertion, new_name
from hitchpost.errors import BadRequestError, HitchpostError, NotFoundError, UnsupportedError


class BankChecks(MemorySubject):
    """Each check runs for every type of bank that the provider type declares, `banks.unsupported` for the others."""

    @for_each_bank_type
    @check(
        "banks.announced-again",
        why="at each start, and when a provider recovers, every bank is announced again: what was put into it must still be there",
        advice="open a bank that is there already, and neither raise nor empty it; cope with context None",
    )
    async def test_bank_is_announced_again(self, harness: Harness, bank_type: str) -> None:
        """register_memory_bank takes a bank again, with context None, leaves its identity alone and its documents in it."""
        self._check_declared(harness, bank_type)
        first = next(iter(self.documents))
        async with harness.started() as provider:
            able: Any = provider
            bank = self.resource(bank_type, new_name(bank_type))
            context = harness.context(bank)
            await self._announce(harness, able, bank)
            insert = able.insert_documents(insertion(bank.identifier, self.documents), context)
            await harness.within(insert, "an insertion")
            await self._announce(harness, able, bank)
            request = QueryDocumentsRequest(bank_id=bank.identifier, query=self.query_for(bank_type, first))
            names = found(await harness.within(able.query_documents(request, context), "a query"))
            if first not in names:
                raise CheckFailed(f"after the bank was announced again {first!r} is not found any more, only {names}")

    @for_each_bank_type
    @check(
        "banks.lasting",
        why="a provider type that declares the state `local` or `shared` promises that documents outlive the process",
        advice="write documents to deps.state_dir, or to the backend, before insert_documents returns; or declare the state `none`",
    )
    async def test_documents_outlive_the_provider(self, harness: Harness, bank_type: str) -> None:
        """Where the type's `state` is not `none`, a new provider over the same state_dir finds what the one before it was given."""
        self._check_declared(harness, bank_type)
        if harness.spec.state == "none":
            raise NotApplicable("the provider type remembers nothing: its state is `none`")
        state_dir = harness.new_state_dir()
        bank = self.resource(bank_type, new_name(bank_type))
        async with harness.started(state_dir) as provider:
            able: Any = provider
            await self._announce(harness, able, bank)
            insert = able.insert_documents(insertion(bank.identifier, self.documents), harness.context(bank))
            await harness.within(insert, "an insertion")
        async with harness.started(state_dir) as provider:
            able = provider
            await self._announce(harness, able, bank)
            for document_id in self.queries:
                asked = QueryDocumentsRequest(bank_id=bank.identifier, query=self.query_for(bank_type, document_id))
                names = found(await harness.within(able.query_documents(asked, harness.context(bank)), "a query"))
                if names[:1] != [document_id]:
                    raise CheckFailed(f"after a restart {names} are found in place of {document_id!r}")
            await harness.hook(provider, "unregister_memory_bank", memory_bank=bank, context=None)

    @for_each_bank_type
    @check(
        "banks.listed",
        why="applications register their bank at each start of theirs, and end it when they are done",
        advice="let register_memory_bank and unregister_memory_bank return, and don't list banks that the host has registered",
    )
    async def test_registered_bank_is_listed_once(self, harness: Harness, bank_type: str) -> None:
        """A bank registered twice is listed once; unregistered, it is not listed and can't be asked."""
        banks = await harness.router(Api.memory_banks)
        async with self.bank(harness, bank_type) as bank:
            again = self.registration(bank_type, bank.bank_id)
            kept = await harness.within(banks.register_memory_bank(again, harness.context()), "the registration")
            names = await self._listed(harness)
            if names.count(bank.bank_id) != 1 or kept.provider_id != PROVIDER_ID:
                raise CheckFailed(f"{bank.bank_id!r}, of provider {kept.provider_id!r}, is listed among {names}")
            ending = UnregisterMemoryBankRequest(memory_bank_id=bank.bank_id)
            await harness.within(banks.unregister_memory_bank(ending, harness.context()), "the end of a bank")
            if bank.bank_id in await self._listed(harness):
                raise CheckFailed(f"after it was unregistered {bank.bank_id!r} is still listed")
            try:
                await bank.query("anything")
            except (NotFoundError, BadRequestError):
                return
        raise CheckFailed("after it was unregistered the bank can still be asked")

    @for_each_bank_type
    @check(
        "banks.register-anew",
        why="a name that was given up is free again",
        advice="undo in unregister_memory_bank what register_memory_bank did",
    )
    async def test_unregistered_bank_can_be_registered_anew(self, harness: Harness, bank_type: str) -> None:
        """A bank that was unregistered can be registered again under its name, filled and asked."""
        banks = await harness.router(Api.memory_banks)
        async with self.filled_bank(harness, bank_type) as bank:
            ending = UnregisterMemoryBankRequest(memory_bank_id=bank.bank_id)
            await harness.within(banks.unregister_memory_bank(ending, harness.context()), "the end of a bank")
            again = self.registration(bank_type, bank.bank_id)
            await harness.within(banks.register_memory_bank(again, harness.context()), "the registration anew")
            await bank.insert(self.documents)
            for document_id in self.queries:
                names = found(await bank.query(self.query_for(bank_type, document_id)))
                if names[:1] != [document_id]:
                    raise CheckFailed(f"registered anew, the bank finds {names} in place of {document_id!r}")

    @for_each_bank_type
    @check(
        "banks.unknown",
        why="a provider may be asked for a bank that it has lost, as after its disk was exchanged",
        advice="raise NotFoundError where there is no such bank, or make it",
    )
    async def test_bank_that_was_never_announced_is_a_public_error(self, harness: Harness, bank_type: str) -> None:
        """Inserting into and asking a bank that was never announced works, or raises an error of hitchpost.errors."""
        self._check_declared(harness, bank_type)
        async with harness.started() as provider:
            able: Any = provider
            bank = self.resource(bank_type, new_name(bank_type))
            context = harness.context(bank)
            query = QueryDocumentsRequest(bank_id=bank.identifier, query="anything")
            documents = insertion(bank.identifier, self.documents)
            for what, ask, request in (
                ("a query", able.query_documents, query),
                ("an insertion", able.insert_documents, documents),
            ):
                try:
                    await harness.within(ask(request, context), what)
                except HitchpostError:
                    continue
                except CheckFailed:
                    raise
                except Exception as error:
                    raise CheckFailed(f"{what} of a bank that it doesn't know raised {seen_error(error)}") from error

    @for_each_bank_type
    @check(
        "banks.unsupported",
        why="a bank of the wrong type that is accepted answers nonsense",
        advice="raise UnsupportedError in register_memory_bank for types that the capabilities don't declare",
    )
    async def test_bank_of_an_undeclared_type_is_refused(self, harness: Harness, bank_type: str) -> None:
        """Registering a bank of a type that isn't declared raises `UnsupportedError` or `BadRequestError`."""
        if bank_type in self.supported_types(harness):
            raise NotApplicable(f"the capability {bank_type}_bank is declared")
        async with harness.started() as provider:
            able: Any = provider
            bank = self.resource(bank_type, new_name(bank_type))
            try:
                await self._announce(harness, able, bank)
                insert = able.insert_documents(insertion(bank.identifier, self.documents), harness.context(bank))
                await harness.within(insert, "an insertion")
            except (UnsupportedError, BadRequestError):
                return
        raise CheckFailed(f"a bank of the type {bank_type} could be registered and filled")

    def _check_declared(self, harness: Harness, bank_type: str) -> None:
        if bank_type not in self.supported_types(harness):
            raise NotApplicable(f"the capability {bank_type}_bank is not declared")

    async def _announce(self, harness: Harness, provider: Any, bank: AnyMemoryBank) -> None:
        answer = await harness.announce(provider, bank)
        if answer is not None and not isinstance(answer, MemoryBank):
            raise CheckFailed(f"register_memory_bank answered {type(answer).__name__}, neither a MemoryBank nor None")
        if answer is not None and (answer.identifier, answer.provider_id) != (bank.identifier, bank.provider_id):
            raise CheckFailed(f"register_memory_bank answered {answer!r} for {bank!r}")

    async def _listed(self, harness: Harness) -> list[str]:
        banks = await harness.router(Api.memory_banks)
        return [bank.identifier for bank in await banks.list_memory_banks(NoArguments(), harness.context())]


__all__ = ["BankChecks"]
