"""LangGraph's checkpoints in the state file: the latest of each namespace, with its pending writes."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_id,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer

from shiftwork.agents.langchain.program.memory import Memory, Packed

_CONVERSATION_CHANNEL = "messages"

_SENT = "__pregel_push"
"""In the path of a task that was sent for: each call of a tool is one."""


class StateSaver(BaseCheckpointSaver[int]):
    """Keeps one thread; older checkpoints are forgotten, as nothing here goes back in time."""

    def __init__(self, memory: Memory) -> None:
        super().__init__(serde=JsonPlusSerializer())
        self._memory = memory

    # What LangGraph calls ----------------------------------------------------------------------------

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """The latest checkpoint of the namespace; None if it has none, or not the one asked for."""
        entry = self._memory.threads.get(_namespace(config))
        if entry is None or get_checkpoint_id(config) not in (None, entry["id"]):
            return None
        return self._unpacked(config, entry)

    def put(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Replace the namespace's checkpoint; its pending writes belonged to the one before.

        On the disk once the conversation has grown: what comes between costs nothing to do again.
        """
        namespace = _namespace(config)
        self._memory.threads[namespace] = {
            "id": checkpoint["id"],
            "checkpoint": self.serde.dumps_typed(checkpoint),
            "metadata": self.serde.dumps_typed(get_checkpoint_metadata(config, metadata)),
            "writes": [],
        }
        self._forget_finished(namespace)
        if _CONVERSATION_CHANNEL in new_versions:
            self._memory.save(announce=True)
        return _addressed(config, namespace, checkpoint["id"])

    def put_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Keep what a task of the checkpoint's next step wrote, so that it need not run again."""
        entry = self._memory.threads.get(_namespace(config))
        if entry is None or entry["id"] != config["configurable"]["checkpoint_id"]:
            return  # The step that this belongs to is over.
        kept = {(write[0], write[1]): write for write in entry["writes"]}
        for position, (channel, value) in enumerate(writes):
            index = WRITES_IDX_MAP.get(channel, position)
            if index >= 0 and (task_id, index) in kept:
                continue
            kept[task_id, index] = [task_id, index, channel, self.serde.dumps_typed(value), task_path]
        entry["writes"] = sorted(kept.values(), key=lambda item: writes_sort_key(item[4], item[0], item[1]))
        if _SENT in task_path:
            # A call of a tool, beside which others may still run; of all else the next checkpoint follows.
            self._memory.save()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """See `get_tuple`."""
        return self.get_tuple(config)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """See `put`."""
        return self.put(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """See `put_writes`."""
        self.put_writes(config, writes, task_id, task_path)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002, ARG002 - LangGraph's own signature
        before: RunnableConfig | None = None,
        limit: int | None = None,  # noqa: ARG002
    ) -> Iterator[CheckpointTuple]:
        """The one checkpoint of the namespace."""
        found = self.get_tuple(config) if config is not None and before is None else None
        if found is not None:
            yield found

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """See `list`."""
        for found in self.list(config, filter=filter, before=before, limit=limit):
            await asyncio.sleep(0)
            yield found

    def get_next_version(self, current: int | None, channel: None) -> int:  # noqa: ARG002
        """Versions count up."""
        return (current or 0) + 1

    # Within ------------------------------------------------------------------------------------------

    def _unpacked(self, config: RunnableConfig, entry: Packed) -> CheckpointTuple:
        return CheckpointTuple(
            config=_addressed(config, _namespace(config), entry["id"]),
            checkpoint=self._loads(entry["checkpoint"]),
            metadata=self._loads(entry["metadata"]),
            parent_config=None,
            pending_writes=[
                (task_id, channel, self._loads(value)) for task_id, _, channel, value, _ in entry["writes"]
            ],
        )

    def _loads(self, typed: Sequence[Any]) -> Any:
        return self.serde.loads_typed((typed[0], typed[1]))

    def _forget_finished(self, namespace: str) -> None:
        """Drop what belongs to calls of tools that this namespace has taken in: it is in its messages now."""
        prefix = f"{namespace}|" if namespace else ""
        threads = self._memory.threads
        for name in [name for name in threads if name != namespace and name.startswith(prefix)]:
            del threads[name]
        self._memory.forget_begun(namespace)


def _namespace(config: RunnableConfig) -> str:
    return str(config["configurable"].get("checkpoint_ns", ""))


def _addressed(config: RunnableConfig, namespace: str, checkpoint_id: str) -> RunnableConfig:
    thread = config["configurable"]["thread_id"]
    return {"configurable": {"thread_id": thread, "checkpoint_ns": namespace, "checkpoint_id": checkpoint_id}}
