"""The file provider against a model: changes, edits by hand, restarts and failing disks in any order."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from unittest.mock import patch

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from streamserver.members.errors import (
    InvalidCredentials,
    MemberExistsError,
    MemberFileError,
    MemberNotFoundError,
)
from streamserver.members.file import FileProvider
from streamserver.members.profile import MemberProfile
from streamserver.usernames import BadUsernameError

NAMES = st.sampled_from(["ann", "bob", "안녕", "..", "a/b", "__proto__", " "])
GOOD = {"ann", "bob", "안녕", "__proto__", " "}
PASSWORDS = st.sampled_from(["", "x", "y", "\0", "$argon", "ä"])
PROFILES = st.builds(MemberProfile, name=st.text(max_size=3), can_host=st.booleans())


class FileMachine(RuleBasedStateMachine):
    """`model` is what the file must hold."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "members.json"
        self.members = FileProvider(self.path, hashed=False)
        self.model: dict[str, tuple[str, MemberProfile]] = {}

    def teardown(self) -> None:
        if hasattr(self, "folder"):
            self.folder.cleanup()

    @rule(name=NAMES, password=PASSWORDS, profile=PROFILES)
    def insert(self, name: str, password: str, profile: MemberProfile) -> None:
        try:
            asyncio.run(self.members.insert(name, password, profile))
        except BadUsernameError:
            assert name not in GOOD
        except MemberExistsError:
            assert name in self.model
        else:
            assert name in GOOD - self.model.keys()
            self.model[name] = (password, profile)

    @rule(name=NAMES, host=st.booleans())
    def update(self, name: str, host: bool) -> None:
        try:
            asyncio.run(self.members.update_profile(name, {"can_host": host}))
        except MemberNotFoundError:
            assert name not in self.model
        else:
            password, profile = self.model[name]
            self.model[name] = (password, profile.model_copy(update={"can_host": host}))

    @rule(name=NAMES, password=PASSWORDS)
    def change_password(self, name: str, password: str) -> None:
        try:
            asyncio.run(self.members.update_password(name, password))
        except MemberNotFoundError:
            assert name not in self.model
        else:
            self.model[name] = (password, self.model[name][1])

    @rule(name=NAMES)
    def delete(self, name: str) -> None:
        try:
            asyncio.run(self.members.delete(name))
        except MemberNotFoundError:
            assert name not in self.model
        else:
            del self.model[name]

    @rule(name=NAMES, step=st.sampled_from(["os.fsync", "pathlib.Path.replace"]))
    def delete_with_a_failing_disk(self, name: str, step: str) -> None:
        with patch(step, side_effect=OSError(5, "Input/output error")):
            try:
                asyncio.run(self.members.delete(name))
            except MemberNotFoundError:
                assert name not in self.model
            except MemberFileError:
                assert name in self.model
            else:
                raise AssertionError("the disk failed and nobody was told")

    @rule(name=st.sampled_from(sorted(GOOD)), password=PASSWORDS)
    def edit_by_hand(self, name: str, password: str) -> None:
        document = json.loads(self.path.read_text())
        document[name] = {"password": password}
        self.path.write_text(json.dumps(document))
        self.model[name] = (password, MemberProfile())

    @rule()
    def restart(self) -> None:
        self.members = FileProvider(self.path, hashed=False)

    @rule(name=NAMES, password=PASSWORDS)
    def log_in(self, name: str, password: str) -> None:
        try:
            member_id, profile = asyncio.run(self.members.authenticate(name, password))
        except InvalidCredentials:
            assert self.model.get(name, (None,))[0] != password
        else:
            kept, expected = self.model[name]
            assert (member_id, password) == (name, kept)
            assert profile == expected.named(name)

    @invariant()
    def the_file_holds_the_model(self) -> None:
        if hasattr(self, "path"):
            assert asyncio.run(self.members.select_all()) == {n: m[1] for n, m in self.model.items()}
            assert list(self.path.parent.iterdir()) == [self.path]


TestFileMachine = FileMachine.TestCase
TestFileMachine.settings = settings(max_examples=15, stateful_step_count=15, deadline=None)
