# Two stages: compiler, sources and dev dependencies stay in the first.
FROM node:22.23.3-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json prepare.js ./
COPY config config
COPY src src
COPY workers workers
RUN npm run prepare && find dist -name '*.map' -delete

FROM node:22.23.3-bookworm-slim
WORKDIR /app
# The cache is used from Node 22 on: a restarted container compiles less.
ENV NODE_ENV=production NODE_COMPILE_CACHE=/tmp/node-compile-cache
COPY package.json package-lock.json ./
# What is optional are an embedded PostgreSQL and firebase-admin's Firestore and Storage, which nothing here needs.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund
COPY --from=build /app/dist dist
COPY bin bin
USER node
EXPOSE 8000
STOPSIGNAL SIGTERM
# For `web`, which is what runs by default; turn it off where another command runs (compose.yaml does).
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["node", "dist/src/cli/health.js"]
CMD ["node", "dist/src/web.js"]
