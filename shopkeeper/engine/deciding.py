"""What people decide by hand, and why a page is as it is: the rules and explanations of `Shop`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from shopkeeper.config import Config
from shopkeeper.engine.explaining import Explainer
from shopkeeper.engine.live import Live
from shopkeeper.engine.rulebook import Rules, book_of
from shopkeeper.errors import NotFound


class Deciding:
    """What `Shop` has of rules and reasons; whoever derives from it has a running shop."""

    folder: Path
    config: Config

    @property
    def live(self) -> Live:
        """The running shop."""
        raise NotImplementedError

    def rules(self, ids: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Return rules, those that hold first; see `engine.rulebook.Rules.listed`."""
        return self._rules().listed(ids)

    def put_rules(self, rules: Sequence[Mapping[str, Any]], *, force: bool = False) -> list[str]:
        """Add rules, or replace those of their ids; all or none. They hold in the next answer.

        Args:
            rules: Each with `id`, `action`, `target` and what else `rules.rule.Rule` has.
            force: Take rules that contradict others of the same priority, too.

        Returns:
            Contradictions with other rules, in words.

        Raises:
            BadRequest: A field is wrong, or two rules contradict each other; none was taken.
        """
        with self.live.changing:
            found = self._rules().put(rules, force)
            self._follow()
        return [str(conflict) for conflict in found]

    def remove_rules(self, ids: Sequence[str]) -> int:
        """Delete rules, and return how many; NotFound if one is not there, and none is deleted."""
        with self.live.changing:
            gone = self._rules().remove(ids)
            self._follow()
        return gone

    def explain(
        self, request_id: str, *, item_id: str | None = None, rescore: bool = False
    ) -> dict[str, Any]:
        """Tell why an answer is as it is, or why a product is not in it.

        Args:
            request_id: Of one of the newest answers; [serving] traces says how many are kept.
            item_id: A product to ask about: why it is where it is, or why it is not shown.
            rescore: Ask the ranker again without each piece of evidence; takes some 10 ms each.

        Returns:
            Plain values; see `engine.explaining`.

        Raises:
            NotFound: The answer is no longer kept, or never was.
        """
        live = self.live
        trace = live.traces.get(request_id)
        if trace is None:
            raise NotFound(
                f"There is no answer '{request_id[:40]}' in memory. The newest "
                f"{self.config.serving.traces} are kept ([serving] traces)."
            )
        explainer = Explainer(live, trace)
        found = explainer.page(rescore) if item_id is None else explainer.product(item_id, rescore)
        return {"request_id": request_id, **found}

    def _rules(self) -> Rules:
        live = self.live
        now = live.clock.now()
        return Rules(self.folder, self.config, live.records, live.now.shelves, now)

    def _follow(self) -> None:
        self.live.rules = book_of(self.live.records)
