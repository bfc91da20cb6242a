# syntax=docker/dockerfile:1

# The query data in .sqlx stands for the database, so nothing is asked while building.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /build
ENV SQLX_OFFLINE=true
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bins \
    && mkdir /out \
    && cp target/release/farebox target/release/farebox-api target/release/farebox-worker /out/

FROM debian:bookworm-slim
# curl is for the health check only.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /home/farebox --shell /usr/sbin/nologin farebox
COPY --from=build /out/ /usr/local/bin/
# config/<FAREBOX_ENV>.toml is read from the working folder; the defaults are built in.
WORKDIR /opt/farebox
COPY config/ config/
USER farebox
ENV FAREBOX_ENV=production
EXPOSE 8087
# One image for all three: farebox-api (this one), farebox-worker, farebox.
CMD ["farebox-api"]
