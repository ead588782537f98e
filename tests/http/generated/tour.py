"""A tour of both listeners with the packages `public` and `internal`, which openapi-python-client has made of the
documents: `tour.py PUBLIC INTERNAL TOKEN AUDITOR`, two addresses and two sign-in tokens."""

import sys
from datetime import datetime, timezone

from internal import Client as Gateway
from internal.api.health import alive, ready
from internal.api.operations import metrics
from internal.api.verification import auth, introspect, verify
from internal.models import AuthRefusal, Introspection, IntrospectionForm, RefusedKey, ValidKey, VerifyQuestion
from public import AuthenticatedClient, Client
from public.api.audit import events, key_state
from public.api.keys import create, delete, get, history, list_, revoke
from public.models import CreateKeyBody, CreatedKey, Problem, ReasonBody

address, internal, token, auditor = sys.argv[1:]
strict = {"raise_on_unexpected_status": True}
ann = AuthenticatedClient(base_url=address, token=token, **strict)
page = Client(base_url=address, cookies={"auth_token": token}, **strict)
stranger = Client(base_url=address, **strict)
auditor = AuthenticatedClient(base_url=address, token=auditor, **strict)
gateway = Gateway(base_url=internal, **strict)


def verified(key):
    return verify.sync(client=gateway, body=VerifyQuestion(key=key))


refused = list_.sync_detailed(client=stranger)
assert (refused.status_code, refused.parsed.code) == (401, "authentication_required"), refused

created = create.sync(client=ann, body=CreateKeyBody(name="ci"), idempotency_key="one")
assert isinstance(created, CreatedKey), created
assert created.created_at <= datetime.now(timezone.utc)
again = create.sync_detailed(client=page, body=CreateKeyBody(name="ci"), idempotency_key="one")
assert isinstance(again.parsed, Problem), again
assert (again.status_code, again.parsed.key_id) == (409, created.key_id), again
nameless = create.sync(client=ann, body=CreateKeyBody(name=" "))
assert nameless.code == "name_required", nameless

for client in [ann, page]:
    listed = list_.sync(client=client, limit=10)
    assert [key.name for key in listed.keys] == ["ci"], listed
    assert (listed.next_cursor, listed.keys[0].last_used_at) == (None, None), listed
shown = get.sync_detailed(created.key_id, client=page)
assert shown.parsed.key.key_id == created.key_id and not shown.parsed.key.revoked, shown
position = int(shown.headers["Keyledger-Position"])

good = verified(created.api_key)
assert isinstance(good, ValidKey), good
assert (good.key_id, good.user_id, good.expires_at) == (created.key_id, "ann", None), good
told = introspect.sync(client=gateway, body=IntrospectionForm(token=created.api_key))
assert isinstance(told, Introspection) and told.active and told.jti == created.key_id, told
passed = auth.sync_detailed(client=gateway, x_api_key=created.api_key, keyledger_min_position=position)
assert (passed.status_code, passed.headers["X-Key-Id"]) == (200, str(created.key_id)), passed

ended = revoke.sync(created.key_id, client=page, body=ReasonBody(reason="the tour goes on"))
assert ended.success, ended
assert get.sync(created.key_id, client=ann).key.revoked
bad = verified(created.api_key)
assert isinstance(bad, RefusedKey) and bad.code == "REVOKED", bad
told = introspect.sync(client=gateway, body=IntrospectionForm(token=created.api_key))
assert told == Introspection(active=False), told
stopped = auth.sync_detailed(client=gateway, x_api_key=created.api_key)
assert isinstance(stopped.parsed, AuthRefusal) and stopped.status_code == 401, stopped

assert delete.sync(created.key_id, client=ann).success
gone = get.sync_detailed(created.key_id, client=ann)
assert (gone.status_code, gone.parsed.code) == (404, "key_not_found"), gone
assert verified(created.api_key).code == "NOT_FOUND"

types = ["KeyCreated", "KeyRevoked", "KeyDeleted"]
told = history.sync(created.key_id, client=auditor)
assert [event.type_ for event in told.events] == types, told
assert told.events[1].data.reason == "the tour goes on", told
told = events.sync(client=auditor, key_id=created.key_id, limit=3)
assert [event.type_ for event in told.events] == types, told
then = key_state.sync(created.key_id, client=auditor, at=told.events[0].position)
assert (then.status, then.verdict, then.because.type_) == ("active", "VALID", "KeyCreated"), then
then = key_state.sync(created.key_id, client=auditor, at=datetime.now(timezone.utc))
assert then.status == "deleted", then

assert "keyledger_verifications_total" in metrics.sync(client=gateway)
assert alive.sync(client=gateway).status == "ok"
assert ready.sync(client=gateway).ready
print("ok")
