# syntax=docker/dockerfile:1

FROM rust:1.95.0-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc g++ libc6-dev make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --locked --release --bin keyledger

FROM debian:12.12-slim
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && groupadd --gid 10001 keyledger \
    && useradd --uid 10001 --gid 10001 --no-create-home --shell /usr/sbin/nologin keyledger \
    && install --directory --owner=keyledger --group=keyledger /var/lib/keyledger
COPY --from=build /src/target/release/keyledger /usr/local/bin/keyledger
USER 10001:10001
# The SQLite databases, if they are used, are in ./data.
WORKDIR /var/lib/keyledger
ENV KEYLEDGER_LISTEN=0.0.0.0:8080
EXPOSE 8080 8081
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/keyledger"]
CMD ["serve"]
