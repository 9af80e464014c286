// Ory Polis as a library: its directory sync on express, over SQLite or PostgreSQL.
import { createRequire } from "node:module";

import Database from "better-sqlite3";
import express from "express";

const { PEER_SYNCHRONOUS, PEER_TOKEN, PEER_DATABASE, PEER_DATABASE_URL } = process.env;

// Polis has no setting for it, and takes the driver from here.
const require = createRequire(import.meta.url);
require.cache[require.resolve("better-sqlite3")].exports = class extends Database {
    constructor(...options) {
        super(...options);
        this.pragma(`synchronous = ${PEER_SYNCHRONOUS}`);
    }
};
const { default: jackson } = await import("@boxyhq/saml-jackson");
const { directorySyncController } = await jackson.default({
    externalUrl: "http://127.0.0.1",
    samlPath: "/saml",
    noAnalytics: true,
    db: { engine: "sql", type: PEER_DATABASE, url: PEER_DATABASE_URL },
});
const { data: directory } = await directorySyncController.directories.create({
    tenant: "bench",
    product: "bench",
    type: "okta-scim-v2",
});

const app = express();
app.use(express.json({ type: ["application/scim+json", "application/json"], limit: "16mb" }));
app.all("/scim/v2/:type/:id?", async (request, response, next) => {
    try {
        const token = (request.header("Authorization") ?? "").replace(/^Bearer /, "");
        const { startIndex, count, filter } = request.query;
        const answer = await directorySyncController.requests.handle({
            method: request.method,
            body: request.body,
            directoryId: directory.id,
            resourceType: request.params.type,
            resourceId: request.params.id,
            // Polis makes the directory's secret by itself; the runner knows another one.
            apiSecret: token === PEER_TOKEN ? directory.scim.secret : "",
            query: { startIndex: Number(startIndex ?? 1), count: Number(count ?? 50), filter },
        }, async () => {});
        response.status(answer.status).type("application/scim+json").send(JSON.stringify(answer.data));
    } catch (error) {
        next(error);
    }
});
const server = app.listen(0, "127.0.0.1", () => {
    console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
