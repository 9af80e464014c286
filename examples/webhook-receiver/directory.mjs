// Users and teams as the events of SCIM tell of them. Who is in a team by what a sign-in claims is
// Muster's to decide: ask /api/v1/teams/{id}/members for that.
export class Directory {
  #users = new Map();
  #teams = new Map();

  /** Takes an event in; whether it changed anything here. */
  apply(type, event) {
    const [subject, action] = type.split('.');
    if (subject === 'user') return this.#user(action, event);
    if (subject === 'team') return this.#team(action, event);
    if (type === 'connection.deleted') return this.#forget(event.subject.id);
    return false;
  }

  /** The names of those who are in each team, by the team's name; whoever is inactive is in none. */
  teams() {
    const names = (members) =>
      [...members]
        .map((id) => this.#users.get(id))
        .filter((user) => user?.active)
        .map((user) => user.userName)
        .sort();
    const teams = [...this.#teams.values()].map(({ name, members }) => [name, names(members)]);
    return Object.fromEntries(teams.sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  #user(action, { connectionId, subject: { id }, data }) {
    if (action === 'deleted' || action === 'absorbed') {
      for (const team of this.#teams.values()) team.members.delete(id);
      return this.#users.delete(id);
    }
    if (!data.after) return false;
    const { userName, active } = data.after;
    this.#users.set(id, { connectionId, userName, active: active !== false });
    return true;
  }

  #team(action, { connectionId, subject: { id }, data }) {
    if (action === 'deleted' || action === 'absorbed') return this.#teams.delete(id);
    const team = this.#teams.get(id) ?? { connectionId, name: id, members: new Set() };
    this.#teams.set(id, team);
    if (data.after) team.name = data.after.displayName;
    for (const user of data.members?.removed ?? []) team.members.delete(user);
    for (const user of data.members?.added ?? []) team.members.add(user);
    return true;
  }

  /** Users and teams of a connection go with it; there is no event for each. */
  #forget(connectionId) {
    for (const things of [this.#users, this.#teams]) {
      for (const [id, thing] of things) {
        if (thing.connectionId === connectionId) things.delete(id);
      }
    }
    return true;
  }
}
