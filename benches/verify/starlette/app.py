"""Does what many services with a table of keys do for each request: look up the key's hash, record the
use, commit."""

import datetime
import hashlib
import os
import uuid

from sqlalchemy import DateTime, String, select, update
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route


class Base(DeclarativeBase):
    pass


class ApiKey(Base):
    __tablename__ = "api_keys"

    key_id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    key_hash: Mapped[str] = mapped_column(String(64), unique=True)
    key_prefix: Mapped[str]
    user_id: Mapped[str]
    user_email: Mapped[str]
    name: Mapped[str]
    revoked: Mapped[bool]
    created_at: Mapped[datetime.datetime] = mapped_column(DateTime(timezone=True))
    expires_at: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))
    last_used_at: Mapped[datetime.datetime | None] = mapped_column(DateTime(timezone=True))


# No overflow: connections beyond the pool are closed again after each request.
engine = create_async_engine(os.environ["PG_URL"], pool_size=16, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)


async def verify(request):
    presented = (await request.json())["key"]
    key_hash = hashlib.sha256(presented.encode()).hexdigest()
    now = datetime.datetime.now(datetime.UTC)
    async with sessions() as session:
        found = select(ApiKey).where(ApiKey.key_hash == key_hash)
        key = (await session.execute(found)).scalar_one_or_none()
        if key is None:
            return JSONResponse({"valid": False, "code": "NOT_FOUND"})
        if key.revoked:
            return JSONResponse({"valid": False, "code": "REVOKED"})
        if key.expires_at is not None and key.expires_at <= now:
            return JSONResponse({"valid": False, "code": "EXPIRED"})
        used = update(ApiKey).where(ApiKey.key_id == key.key_id).values(last_used_at=now)
        await session.execute(used, execution_options={"synchronize_session": False})
        await session.commit()
    return JSONResponse(
        {
            "valid": True,
            "code": "VALID",
            "key_id": str(key.key_id),
            "user_id": key.user_id,
            "user_email": key.user_email,
            "name": key.name,
            "created_at": key.created_at.isoformat(),
            "expires_at": key.expires_at and key.expires_at.isoformat(),
        }
    )


app = Starlette(routes=[Route("/verify", verify, methods=["POST"])])
