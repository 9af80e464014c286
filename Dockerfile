# The dependencies bring SQLite and libpq with them, so that a C compiler is all that is needed.
FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends gcc libc6-dev make perl \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
# How the libraries in C are compiled.
COPY .cargo .cargo
# The dependencies alone first, so that a change of the program does not build them anew. What is only
# built for tests and benchmarks has to be there by name.
RUN mkdir -p src tests/it benches/load \
    && echo 'fn main() {}' > src/main.rs && touch src/lib.rs \
    && for file in tests/it/main.rs benches/micro.rs benches/load/main.rs; do \
        echo 'fn main() {}' > "$file"; done \
    && cargo build --release --locked \
    && rm -rf src
COPY scim-schemas scim-schemas
COPY migrations migrations
COPY src src
RUN touch src/main.rs src/lib.rs \
    && cargo build --release --locked --bin muster

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/muster muster
COPY --from=build /build/target/release/muster /usr/local/bin/muster
USER muster
WORKDIR /var/lib/muster
# The proxy that speaks TLS is reached under the address that MUSTER_PUBLIC_URL says.
ENV MUSTER_LISTEN=0.0.0.0:8080 MUSTER_PUBLIC_URL=http://localhost:8080
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["muster", "healthcheck"]
ENTRYPOINT ["muster"]
CMD ["serve"]
