FROM node:22-slim
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
COPY config config
COPY src src
COPY workers workers
COPY bench bench
COPY bin bin
# The build (npm's own `prepare`) needs no dev dependency; the compiler's binary is an optional one.
RUN npm ci --omit=dev --no-audit --no-fund
USER node
EXPOSE 8000
CMD ["node", "dist/src/web.js"]
