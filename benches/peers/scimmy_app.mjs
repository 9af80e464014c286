// SCIMMY's routers on express, over a SQLite file.
import { randomUUID } from "node:crypto";

import Database from "better-sqlite3";
import express from "express";
import SCIMMY from "scimmy";
import SCIMMYRouters from "scimmy-routers";

const { PEER_FOLDER, PEER_SYNCHRONOUS, PEER_TOKEN } = process.env;
const db = new Database(`${PEER_FOLDER}/scimmy.db`);
db.pragma("journal_mode = WAL");
db.pragma(`synchronous = ${PEER_SYNCHRONOUS}`);

// A resource is a JSON document, beside the columns that it is looked up by.
function store(Resource, table, key) {
    db.exec(`CREATE TABLE ${table} (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE COLLATE NOCASE,
        document TEXT NOT NULL,
        created TEXT NOT NULL,
        modified TEXT NOT NULL
    )`);
    const byId = db.prepare(`SELECT * FROM ${table} WHERE id = ?`);
    const byName = db.prepare(`SELECT * FROM ${table} WHERE name = ?`);
    const page = db.prepare(`SELECT * FROM ${table} ORDER BY rowid LIMIT ? OFFSET ?`);
    const total = db.prepare(`SELECT count(*) FROM ${table}`).pluck();
    const insert = db.prepare(`INSERT INTO ${table} VALUES (?, ?, ?, ?, ?)`);
    const update = db.prepare(`UPDATE ${table} SET name = ?, document = ?, modified = ? WHERE id = ?`);
    const remove = db.prepare(`DELETE FROM ${table} WHERE id = ?`);

    const read = ({ id, document, created, modified }) => ({
        ...JSON.parse(document),
        id,
        meta: { created: new Date(created), lastModified: new Date(modified) },
    });
    const found = (id) => {
        const row = byId.get(id);
        if (row === undefined) throw new SCIMMY.Types.Error(404, null, `Resource ${id} not found`);
        return row;
    };

    function egress(resource) {
        if (resource.id) return read(found(resource.id));
        if (resource.filter) {
            const [operator, value] = resource.filter[0][key] ?? [];
            const isLookup = operator === "eq" && resource.filter.length === 1
                && Object.keys(resource.filter[0]).length === 1;
            if (isLookup) return byName.all(value).map(read);
            return resource.filter.match(page.all(-1, 0).map(read));
        }
        // SCIMMY takes the total from here, where the page is cut by the database.
        resource.constraints = { startIndex: 1, count: 20, ...resource.constraints };
        resource.constraints.totalResults = total.get();
        const { startIndex, count } = resource.constraints;
        return page.all(count, startIndex - 1).map(read);
    }

    function ingress(resource, instance) {
        const now = new Date().toISOString();
        const document = JSON.stringify(instance);
        const id = resource.id ?? randomUUID();
        try {
            if (resource.id) update.run(instance[key], document, now, found(id).id);
            else insert.run(id, instance[key], document, now, now);
        } catch (error) {
            if (error.code !== "SQLITE_CONSTRAINT_UNIQUE") throw error;
            throw new SCIMMY.Types.Error(409, "uniqueness", "It is there already");
        }
        return read(byId.get(id));
    }

    SCIMMY.Resources.declare(Resource, { egress, ingress, degress: ({ id }) => remove.run(id) });
}

store(SCIMMY.Resources.User, "users", "userName");
store(SCIMMY.Resources.Group, "groups", "displayName");

const app = express();
app.use("/scim/v2", new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.header("Authorization") !== `Bearer ${PEER_TOKEN}`) throw new Error("A token is needed");
        return "bench";
    },
}));
const server = app.listen(0, "127.0.0.1", () => {
    console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
