"""What the command line names serves every project, and is changed by whoever runs the server only."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from paddock.schemas.own import CreateDeployment, Deployment
from paddock.services import commanded, deployments, events, tuned_models
from paddock.services.deployments import LOCAL
from paddock.services.keys import ADMIN, INFERENCE
from paddock.services.tuned_models import TunedModel
from paddock.store.sessions import ChangeSession
from paddock.store.tables import DeploymentRow
from paddock.weights.facts import ModelFacts
from tests.api.two_projects import TwoProjects, serving_two
from tests.store.rows import add_deployment

ENDPOINTS = "/llm-engine/v1/llm/model-endpoints"
INSTANCES = "/cortecs/api/v1/instances"
OWN = "/api/v1/deployments"
FACTS = ModelFacts(
    "tuned",
    "tuned:mdl-1",
    "checkpoint",
    64,
    1,
    1,
    1,
    generates=True,
    embeds=False,
    creator="",
    description="",
    screen_name="",
)


@pytest.fixture
async def on(tmp_path: Path) -> AsyncIterator[TwoProjects]:
    async with serving_two(tmp_path) as gateway:
        yield gateway


async def public(on: TwoProjects, **asked: Any) -> Deployment:
    asked = {"model": "foal", "name": "foal", "labels": {"team": "ours"}, **asked}
    return await deployments.create(
        on.platform, LOCAL, CreateDeployment.model_validate(asked), origin=commanded.ORIGIN
    )


def changes(one: Deployment) -> list[tuple[str, str, Any]]:
    """Every route that changes one or reads its engines' logs, so that each can be done after the other."""
    named, known, ided = f"{OWN}/{one.name}", f"{OWN}/{one.id}", {"instance_id": one.id}
    return [
        ("GET", f"{named}/logs", None),
        ("PATCH", named, {"per_worker": 2}),
        ("POST", f"{known}/scale", {"min_workers": 0}),
        ("POST", f"{named}/stop", None),
        ("POST", f"{known}/start", None),
        ("PUT", f"{ENDPOINTS}/{one.name}", {"max_workers": 2}),
        ("POST", f"{INSTANCES}/stop", ided),
        ("POST", f"{INSTANCES}/restart", ided),
        ("POST", f"{INSTANCES}/stop", ided),
        ("DELETE", f"{INSTANCES}/{one.id}", None),
    ]


class TestWhoMayChangeThem:
    async def test_admins_of_its_project_and_nobody_else(self, on: TwoProjects) -> None:
        one = await public(on)
        _, manager = await on.key(LOCAL)
        _, stranger = await on.key("shop", ADMIN)
        _, admin = await on.key(LOCAL, ADMIN)
        ends = [("DELETE", f"{OWN}/{one.id}", None), ("DELETE", f"{ENDPOINTS}/{one.name}", None)]
        for method, path, body in [*changes(one), *ends]:
            answer = await on.ask(manager, method, path, body)
            assert (answer.status_code, "named on the command line" in answer.text) == (403, True), path
            answer = await on.ask(stranger, method, path, body)
            assert (answer.status_code, "command line" in answer.text) == (404, False), path
        assert (await on.ask(manager, "GET", f"{OWN}/foal")).json()["public"] is True
        for method, path, body in changes(one):
            answer = await on.ask(admin, method, path, body)
            assert answer.status_code < 300, (path, answer.text)

    async def test_all_at_once_leaves_them_out(self, on: TwoProjects) -> None:
        one = await public(on)
        _, manager = await on.key(LOCAL)
        mine = (await on.ask(manager, "POST", OWN, {"model": "foal", "name": "mine"})).json()
        assert mine["public"] is False
        for method, path in (
            ("POST", f"{INSTANCES}/stop-all"),
            ("DELETE", f"{INSTANCES}/delete-all?force_deletion=true"),
        ):
            answer = (await on.ask(manager, method, path)).json()
            assert answer["instance_ids"] == [mine["id"]], path
        _, admin = await on.key(LOCAL, ADMIN)
        answer = (await on.ask(admin, "POST", f"{INSTANCES}/stop-all")).json()
        assert answer["instance_ids"] == [one.id]

    async def test_a_model_is_not_deleted_from_under_one(self, on: TwoProjects) -> None:
        def work(session: ChangeSession) -> None:
            model = TunedModel("mdl-1", "tuned", "paddock/foal", "ft-1", [], FACTS)
            tuned_models.add(session, LOCAL, model, 0.0)
            add_deployment(session, "tuned", source=model.source, origin=commanded.ORIGIN)

        await on.platform.change(work)
        _, manager = await on.key(LOCAL)
        _, admin = await on.key(LOCAL, ADMIN)
        for path in ("/v1/models/tuned", "/v1/models/mdl-1", f"{ENDPOINTS}/tuned", f"{ENDPOINTS}/mdl-1"):
            answer = await on.ask(manager, "DELETE", path)
            assert (answer.status_code, "named on the command line" in answer.text) == (403, True), path
        assert (await on.ask(admin, "DELETE", "/v1/models/tuned")).status_code == 200


class TestWhoSeesWhat:
    async def test_in_llm_engines_lists(self, on: TwoProjects) -> None:
        await public(on)
        hooks = {
            "post_inference_hooks": ["callback"],
            "default_callback_url": "http://127.0.0.1:1/done",
            "default_callback_auth": {"kind": "basic", "username": "u", "password": "hidden"},
            "metadata": {"note": "ours"},
        }
        _, admin = await on.key(LOCAL, ADMIN)
        assert (await on.ask(admin, "PUT", f"{ENDPOINTS}/foal", hooks)).status_code == 200
        shown = (await on.ask(admin, "GET", f"{ENDPOINTS}/foal")).json()["spec"]
        assert shown["default_callback_auth"] == {**hooks["default_callback_auth"], "password": "********"}
        again = {"default_callback_auth": shown["default_callback_auth"]}
        assert (await on.ask(admin, "PUT", f"{ENDPOINTS}/foal", again)).status_code == 200
        kept = await deployments.get(on.platform, LOCAL, "foal")
        assert kept.details["callback"]["password"] == "hidden"

        _, reader = await on.key(LOCAL, INFERENCE)
        _, manager = await on.key(LOCAL)
        _, stranger = await on.key("shop")
        seen = {}
        for who, secret in (("reader", reader), ("manager", manager), ("stranger", stranger)):
            one = await on.ask(secret, "GET", f"{ENDPOINTS}/foal")
            every = await on.ask(secret, "GET", ENDPOINTS)
            assert every.json()["model_endpoints"] == [one.json()]
            assert "hidden" not in one.text
            seen[who] = ["127.0.0.1:1" in one.text, "ours" in one.text]
        assert seen == {"reader": [False, True], "manager": [True, True], "stranger": [False, False]}

    async def test_what_its_engines_say_is_for_admins(self, on: TwoProjects) -> None:
        """In every dialect, in the events, and in what is told to those who ask the model."""
        one = await public(on)
        mine = await deployments.create(
            on.platform, LOCAL, CreateDeployment.model_validate({"model": "foal", "name": "mine"})
        )
        secret = "could not start: no file /srv/secret/x.gguf"

        def fail(session: ChangeSession) -> None:
            for row in session.scalars(select(DeploymentRow)):
                row.status, row.reason, row.log = "failed", secret, [f"llama-server --model {secret}"]
                row.revision = session.revision
                events.record(session, row, "failed", secret, 1.0)
                events.record(session, row, "replica_failed", secret, 1.0, "rep-1")

        await on.platform.change(fail)
        paths = [
            path.format(name=found.name, id=found.id)
            for found in (one, mine)
            for path in (
                f"{OWN}/{{name}}",
                "/api/v1/events?deployment={id}",
                f"{ENDPOINTS}/{{name}}",
                f"{INSTANCES}/{{id}}",
            )
        ]
        lists = [OWN, "/api/v1/events", ENDPOINTS, f"{INSTANCES}/"]
        _, admin = await on.key(LOCAL, ADMIN)
        _, manager = await on.key(LOCAL)
        _, reader = await on.key(LOCAL, INFERENCE)
        tells = {}
        for who, key in (("admin", admin), ("manager", manager), ("reader", reader)):
            answers = [(await on.ask(key, "GET", path)).text for path in (*paths, *lists)]
            tells[who] = [answer.count("/srv/secret") for answer in answers]
        every = [2, 2, 2, 2]
        assert tells["admin"] == [*every, *every, 4, 4, 4, 4]
        # What is the project's own is for whoever may look at it.
        assert tells["manager"] == tells["reader"] == [0, 0, 0, 0, *every, *every]
        found = (await on.ask(manager, "GET", f"{OWN}/foal")).json()
        assert (found["reason"], found["log"]) == ("a key with the scope admin sees why", [])
        assert "/srv/secret" in (await on.ask(manager, "GET", f"{OWN}/mine")).json()["reason"]
        stopped = await on.ask(admin, "POST", f"{OWN}/foal/stop")
        assert stopped.status_code == 200
        assert "on purpose" in (await on.ask(reader, "GET", f"{OWN}/foal")).json()["reason"]

    async def test_who_asks_one_that_cannot_start_is_not_told_why(self, on: TwoProjects) -> None:
        await public(on)

        def fail(session: ChangeSession) -> None:
            for row in session.scalars(select(DeploymentRow)):
                row.status, row.reason, row.revision = "failed", "no file /srv/secret", session.revision

        await on.platform.change(fail)
        _, stranger = await on.key("shop")
        body = {"model": "foal", "messages": [{"role": "user", "content": "hi"}]}
        for method, path, asked in (("POST", "/v1/chat/completions", body), ("GET", "/readyz", None)):
            answer = await on.ask(stranger, method, path, asked)
            assert answer.status_code == 503
            assert "it could not start: a key with the scope admin sees why" in answer.text

    async def test_the_mask_is_not_taken_for_a_password(self, on: TwoProjects) -> None:
        _, manager = await on.key("shop")
        await on.ask(manager, "POST", OWN, {"model": "foal", "name": "mine"})
        auth = {"kind": "basic", "username": "u", "password": "********"}
        answer = await on.ask(manager, "PUT", f"{ENDPOINTS}/mine", {"default_callback_auth": auth})
        assert answer.status_code == 400
        assert "default_callback_auth.password" in answer.text
