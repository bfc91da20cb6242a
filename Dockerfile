# A tag can be moved; docs/operators/install.md tells how to name both images by their digests. No
# `syntax` line: BuildKit's own frontend has all that is used here, and another one would be one more image.
ARG FAREBOX_BUILD_IMAGE=rust:1.95-slim-bookworm
ARG FAREBOX_RUNTIME_IMAGE=debian:bookworm-slim

# The query data in .sqlx stands for the database, so nothing is asked while building.
FROM ${FAREBOX_BUILD_IMAGE} AS build
# jq writes the bill of materials.
RUN apt-get update \
    && apt-get install -y --no-install-recommends jq \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
ENV SQLX_OFFLINE=true
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked --bins \
    && mkdir -p /out/bin \
    && cp target/release/farebox target/release/farebox-api target/release/farebox-worker /out/bin/ \
    && .ci/sbom /out/share/farebox/farebox.cdx.json

FROM ${FAREBOX_RUNTIME_IMAGE}
# curl is for the health check only.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /home/farebox --shell /usr/sbin/nologin farebox
# The programs, and /usr/local/share/farebox/farebox.cdx.json, which scanners of images find by its name.
COPY --from=build /out/ /usr/local/
# config/<FAREBOX_ENV>.toml is read from the working folder; the defaults are built in.
WORKDIR /opt/farebox
COPY config/ config/
USER farebox
ENV FAREBOX_ENV=production
EXPOSE 8087
# One image for all three: farebox-api (this one), farebox-worker, farebox.
CMD ["farebox-api"]
