//! A history carried out: the organisation, what has reached the server of it, and what has to hold
//! of the store after each step and in the end.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join;
use muster::directory::connections::{self, AdminError, Settings};
use muster::directory::membership::Policy;
use muster::directory::tokens;
use serde_json::Value;

use super::browser::Browser;
use super::dump::{Dump, Statement, User};
use super::history::{Claim, How, Setup, Step};
use super::okta::{Job, Okta, Outcome};
use super::org::{Assigned, FILTER, Org};
use super::sabotage::Sabotage;
use crate::support::TestApp;

/// A token on its way.
struct Token {
    person: usize,
    claims: Value,
    issued_at: i64,
}

/// Everything there is in a history.
pub struct World<'a> {
    browser: &'a Browser,
    connection: String,
    org: Org,
    okta: Okta,
    setup: Setup,
    tokens: Vec<Token>,
    /// Cookies of sessions, by the server's user id.
    sessions: BTreeMap<String, Vec<String>>,
    /// User names that somebody had who has another one now, or has left.
    former: Vec<(String, usize)>,
    /// Whose name somebody has got: it is pushed once that one's own changes have arrived.
    name_from: BTreeMap<usize, usize>,
    /// When the latest token that was believed was issued, by person, in seconds.
    believed: BTreeMap<usize, i64>,
    /// When the next token is issued, in seconds.
    now: i64,
    /// How often the rule of membership was checked.
    checks: usize,
    sabotage: Option<Sabotage>,
}

impl<'a> World<'a> {
    /// A connection of its own on a server.
    pub async fn new(
        app: &TestApp,
        browser: &'a Browser,
        setup: Setup,
        sabotage: Option<Sabotage>,
    ) -> Self {
        let connection = format!("org-{}", uuid::Uuid::now_v7());
        let (name, issuer, now) =
            (connection.clone(), browser.provider.issuer.clone(), app.clock.now());
        let (id, token) = app
            .db
            .write("create_connection", move |conn| {
                let mut settings = Settings::default();
                if setup.union {
                    settings.membership = Policy::Union;
                }
                settings.sign_in.issuer = Some(issuer.clone());
                settings.sign_in.client_id = Some("muster-at-okta".to_owned());
                settings.sign_in.groups_filter = setup.filters.then(|| FILTER.to_owned());
                settings.sign_in.jit = setup.jit;
                if !setup.external_ids {
                    settings.sign_in.external_id_claim = None;
                }
                let connection = connections::create(conn, &name, settings, now)?;
                let (_, token) = tokens::create(conn, &connection, "test", None, now)?;
                Ok::<_, AdminError>((connection.id, token.expose().to_owned()))
            })
            .await
            .expect("a connection");
        Self {
            browser,
            connection,
            org: Org::new(),
            okta: Okta::new(app.with_token(&token), app.db.clone(), id, setup),
            setup,
            tokens: Vec::new(),
            sessions: BTreeMap::new(),
            former: Vec::new(),
            name_from: BTreeMap::new(),
            believed: BTreeMap::new(),
            // Long ago enough for a second a step, and for none to be in the future.
            now: app.clock.now() / 1_000_000 - 10_000,
            checks: 0,
            sabotage,
        }
    }

    /// Carries out the steps and lets everything arrive; what does not hold is the error.
    pub async fn run(mut self, steps: &[Step]) -> Result<(), String> {
        for (number, step) in steps.iter().enumerate() {
            self.now += 1;
            self.step(*step).await.map_err(|error| format!("step {number}: {error}"))?;
        }
        self.settle().await.map_err(|error| format!("in the end: {error}"))
    }

    async fn step(&mut self, step: Step) -> Result<(), String> {
        match step {
            Step::Hire { assigned, recycled } => {
                let recycled = recycled && assigned && self.setup.external_ids;
                let former = recycled.then(|| self.free_name()).flatten();
                let (login, holder) = match former {
                    Some((login, holder)) => (login, Some(holder)),
                    None => (self.org.fresh_name("user"), None),
                };
                let person = self.org.hire(login, assigned);
                self.name_from.extend(holder.map(|holder| (person, holder)));
                self.person_changed(person);
            }
            Step::Rename(choice) => {
                if let Some(person) = self.choose(choice, |_| true) {
                    let login = self.org.fresh_name("user");
                    let old = std::mem::replace(&mut self.org.people[person].login, login);
                    self.former.push((old, person));
                    self.person_changed(person);
                }
            }
            Step::Edit(choice) => {
                if let Some(person) = self.choose(choice, |_| true) {
                    self.org.people[person].revision += 1;
                    self.person_changed(person);
                }
            }
            Step::Assign(choice) => self.assign(choice, Assigned::Yes),
            Step::Unassign(choice) => self.assign(choice, Assigned::NoLonger),
            Step::Dismiss(choice) => {
                if let Some(person) = self.choose(choice, |_| true) {
                    let who = &mut self.org.people[person];
                    who.gone = true;
                    self.former.push((who.login.clone(), person));
                    if who.is_assigned() {
                        who.assigned = Assigned::NoLonger;
                        self.okta.waiting.insert(Job::Person(person));
                    }
                }
            }
            Step::Found { pushed, listed } => {
                let group = self.org.found(pushed, listed);
                self.group_changed(group);
            }
            Step::RenameGroup(choice) => {
                if let Some(group) = self.choose_group(choice) {
                    let is_listed = self.org.groups[group].name.starts_with("app-");
                    let name = self.org.fresh_name(if is_listed { "app-group" } else { "group" });
                    self.org.groups[group].name = name;
                    self.group_changed(group);
                }
            }
            Step::Push(choice) => self.set_pushed(choice, true),
            Step::Unpush(choice) => self.set_pushed(choice, false),
            Step::Disband(choice) => {
                if let Some(group) = self.choose_group(choice) {
                    self.group_changed(group);
                    self.org.groups[group].gone = true;
                    self.org.groups[group].pushed = false;
                }
            }
            Step::Join(group, person) => self.set_member(group, person, true),
            Step::Quit(group, person) => self.set_member(group, person, false),
            Step::Issue(choice, claim) => {
                if let Some(person) = self.choose(choice, |_| true) {
                    self.issue(person, claim);
                }
            }
            Step::SignIn(choice, how) => {
                if self.tokens.is_empty()
                    && let Some(person) = self.choose(choice, |_| true)
                {
                    self.issue(person, Claim::Complete);
                }
                if !self.tokens.is_empty() {
                    let token = self.tokens.remove(choice % self.tokens.len());
                    self.sign_in(&token, how).await?;
                }
            }
            Step::Sync(choice, how) => {
                if let Some(job) = self.choose_job(choice, None) {
                    self.sync(job, how).await?;
                }
            }
            Step::Together(one, other, token) => self.together(one, other, token).await?,
        }
        Ok(())
    }

    /// One of those who are still there and may be chosen.
    fn choose(&self, choice: usize, may: impl Fn(usize) -> bool) -> Option<usize> {
        let people = 0..self.org.people.len();
        let found: Vec<usize> =
            people.filter(|p| !self.org.people[*p].gone).filter(|p| may(*p)).collect();
        (!found.is_empty()).then(|| found[choice % found.len()])
    }

    /// One of the groups that are still there, but not the one that everybody is in.
    fn choose_group(&self, choice: usize) -> Option<usize> {
        let groups = 1..self.org.groups.len();
        let found: Vec<usize> = groups.filter(|g| !self.org.groups[*g].gone).collect();
        (!found.is_empty()).then(|| found[choice % found.len()])
    }

    fn choose_job(&self, choice: usize, but: Option<Job>) -> Option<Job> {
        let mut jobs: Vec<Job> = self.okta.waiting.iter().copied().collect();
        jobs.retain(|job| Some(*job) != but && self.is_due(*job));
        (!jobs.is_empty()).then(|| jobs[choice % jobs.len()])
    }

    /// Whether nothing has to be pushed before.
    fn is_due(&self, job: Job) -> bool {
        let Job::Person(person) = job else { return true };
        let holder = self.name_from.get(&person);
        holder.is_none_or(|holder| !self.okta.waiting.contains(&Job::Person(*holder)))
    }

    /// A user name that nobody has any more, of which the server knows as much.
    fn free_name(&mut self) -> Option<(String, usize)> {
        let is_free = |(name, holder): &(String, usize)| {
            let is_taken = self.org.people.iter().any(|one| !one.gone && one.login == *name);
            !is_taken && !self.okta.waiting.contains(&Job::Person(*holder))
        };
        let place = self.former.iter().rposition(is_free)?;
        Some(self.former.remove(place))
    }

    fn person_changed(&mut self, person: usize) {
        if self.org.people[person].is_assigned() {
            self.okta.waiting.insert(Job::Person(person));
        }
    }

    fn group_changed(&mut self, group: usize) {
        if self.org.groups[group].pushed {
            self.okta.waiting.insert(Job::Group(group));
        }
    }

    fn assign(&mut self, choice: usize, assigned: Assigned) {
        let is_yes = assigned == Assigned::Yes;
        let person = self.choose(choice, |one| self.org.people[one].is_assigned() != is_yes);
        if let Some(person) = person {
            self.org.people[person].assigned = assigned;
            self.okta.waiting.insert(Job::Person(person));
        }
    }

    fn set_pushed(&mut self, choice: usize, pushed: bool) {
        if let Some(group) = self.choose_group(choice) {
            self.org.groups[group].pushed = pushed;
            self.okta.waiting.insert(Job::Group(group));
        }
    }

    fn set_member(&mut self, group: usize, person: usize, is_member: bool) {
        let (Some(group), Some(person)) = (self.choose_group(group), self.choose(person, |_| true))
        else {
            return;
        };
        let members = &mut self.org.groups[group].members;
        let changes = if is_member { members.insert(person) } else { members.remove(&person) };
        if changes {
            self.group_changed(group);
        }
    }

    fn issue(&mut self, person: usize, claim: Claim) {
        let claims = self.org.claims(self.setup, person, claim);
        self.tokens.push(Token { person, claims, issued_at: self.now });
    }

    async fn dump(&self) -> Dump {
        Dump::read(&self.okta.db, &self.okta.connection_id).await
    }

    /// Lets a change arrive.
    async fn sync(&mut self, job: Job, how: How) -> Result<(), String> {
        let before = self.dump().await;
        let outcome = self.okta.push(&self.org, job, how).await?;
        if let Some(sabotage) = self.sabotage {
            sabotage.after_push(&self.okta, &self.org, job, &outcome).await;
        }
        self.okta.note(&self.org, job, outcome);
        let after = self.dump().await;
        let claimed = |statement: &Statement| statement.claim;
        let left: BTreeSet<_> = after.said(claimed).into_iter().collect();
        for (user, team) in before.said(claimed) {
            let same_identity = match (before.user(user), after.user(user)) {
                (Some(before), Some(after)) => before.subject == after.subject,
                _ => false,
            };
            if same_identity && after.has_team(team) && !left.contains(&(user, team)) {
                return Err(format!("(iii) a push of {job:?} withdrew what a claim said"));
            }
        }
        self.check(&before, &after).await
    }

    /// Lets a token arrive; gives whether the person is let in.
    async fn sign_in(&mut self, token: &Token, how: How) -> Result<bool, String> {
        let before = self.dump().await;
        let (first, second) = match how {
            How::Once | How::AnswerLost => (self.arrive(token).await?, None),
            How::Twice => {
                let first = self.arrive(token).await?;
                let between = self.dump().await;
                let second = self.arrive(token).await?;
                if self.dump().await != between {
                    return Err("(v) a sign-in changed something when repeated".to_owned());
                }
                (first, Some(second))
            }
            How::TwiceAtOnce => {
                let (first, second) = join(self.arrive(token), self.arrive(token)).await;
                (first?, Some(second?))
            }
        };
        if let Some(sabotage) = self.sabotage {
            sabotage.after_sign_in(&self.okta, self.subject(token), &token.claims).await;
        }
        let after = self.dump().await;
        let is_in = first.is_some();
        self.remember(token, &after, [Some(first), second].into_iter().flatten());
        if is_in {
            self.check_claim(token, &before, &after)?;
        }
        let pushed = |statement: &Statement| statement.scim;
        if before.said(pushed) != after.said(pushed) {
            return Err("(iii) a sign-in changed what SCIM says".to_owned());
        }
        let owned = |dump: &Dump| -> Vec<User> {
            let mut users = dump.users.clone();
            users.retain(|user| user.scim_owned);
            for user in &mut users {
                user.subject = None;
            }
            users
        };
        if owned(&before) != owned(&after) {
            return Err("(iii) a sign-in changed a user that SCIM owns".to_owned());
        }
        self.check(&before, &after).await?;
        Ok(is_in)
    }

    /// What has to hold of claims once somebody is in.
    fn check_claim(&mut self, token: &Token, before: &Dump, after: &Dump) -> Result<(), String> {
        let subject = self.subject(token).to_owned();
        let is_known = before.of_subject(&subject).is_some();
        let believed = self.believed.get(&token.person).copied().filter(|_| is_known);
        if believed.is_some_and(|at| token.issued_at < at) && before != after {
            return Err("2.4: a stale token changed something".to_owned());
        }
        self.believed.insert(token.person, token.issued_at.max(believed.unwrap_or_default()));
        // The user may be another one after, which has taken the first one in.
        let claimed = |dump: &Dump| -> BTreeSet<String> {
            let id = dump.of_subject(&subject).map(|user| user.id.clone()).unwrap_or_default();
            let said = dump.said(|statement| statement.claim).into_iter();
            said.filter(|(user, _)| *user == id).map(|(_, team)| team.to_owned()).collect()
        };
        let is_complete =
            token.claims["groups"].is_array() && token.claims.get("hasgroups").is_none();
        if !is_complete && !claimed(before).is_subset(&claimed(after)) {
            return Err("2.4: an incomplete claim withdrew something".to_owned());
        }
        Ok(())
    }

    fn subject(&self, token: &Token) -> &str {
        &self.org.people[token.person].id
    }

    async fn arrive(&self, token: &Token) -> Result<Option<String>, String> {
        self.browser.sign_in(&self.connection, &token.claims, token.issued_at).await
    }

    fn remember(
        &mut self,
        token: &Token,
        after: &Dump,
        cookies: impl Iterator<Item = Option<String>>,
    ) {
        let user = after.of_subject(self.subject(token));
        if let Some(id) = user.map(|user| user.id.clone()) {
            self.sessions.entry(id).or_default().extend(cookies.flatten());
        }
    }

    /// Lets two changes and a token arrive at the same time.
    async fn together(&mut self, one: usize, other: usize, token: usize) -> Result<(), String> {
        let Some(first) = self.choose_job(one, None) else { return Ok(()) };
        let second = self.choose_job(other, Some(first));
        if self.tokens.is_empty()
            && let Some(person) = self.choose(token, |_| true)
        {
            self.issue(person, Claim::Complete);
        }
        if self.tokens.is_empty() {
            return Ok(());
        }
        let token = self.tokens.remove(token % self.tokens.len());
        let before = self.dump().await;
        let pushes = join(self.okta.push(&self.org, first, How::Once), async {
            match second {
                Some(job) => self.okta.push(&self.org, job, How::Once).await,
                None => Ok(Outcome::Nothing),
            }
        });
        let ((first_outcome, second_outcome), session) = join(pushes, self.arrive(&token)).await;
        let mut done = vec![(first, first_outcome?)];
        done.extend(second.map(|job| second_outcome.map(|outcome| (job, outcome))).transpose()?);
        // Groups first: they were pushed before anybody's arrival was known.
        done.sort_by_key(|(job, _)| std::cmp::Reverse(*job));
        for (job, outcome) in done {
            self.okta.note(&self.org, job, outcome);
        }
        let after = self.dump().await;
        self.remember(&token, &after, std::iter::once(session?));
        self.check(&before, &after).await
    }

    /// What has to hold after every step.
    async fn check(&mut self, before: &Dump, after: &Dump) -> Result<(), String> {
        if after.stray_sessions > 0 {
            return Err("(iv) an inactive user has a session".to_owned());
        }
        for user in after.users.iter().filter(|user| !user.active) {
            for cookie in self.sessions.remove(&user.id).unwrap_or_default() {
                if self.browser.userinfo(&cookie).await != 401 {
                    return Err(format!("(iv) {} is inactive and signed in", user.user_name));
                }
            }
            let was_active = before.user(&user.id).is_none_or(|user| user.active);
            if was_active && !self.teams_of(&user.id).await?.is_empty() {
                return Err(format!("(iv) {} is inactive and in a team", user.user_name));
            }
        }
        self.check_rule(after).await?;
        if self.setup.external_ids {
            for person in &self.org.people {
                if after.users.iter().filter(|user| user.is(&person.id)).count() > 1 {
                    return Err(format!("(vi) {} is several users", person.id));
                }
            }
        }
        Ok(())
    }

    /// 2.3, of one user at a time: where SCIM decides, its statements are what has effect.
    async fn check_rule(&mut self, dump: &Dump) -> Result<(), String> {
        self.checks += 1;
        let decided: Vec<&User> =
            dump.users.iter().filter(|user| user.scim_owned && user.active).collect();
        if self.setup.union || decided.is_empty() {
            return Ok(());
        }
        let user = decided[self.checks % decided.len()];
        let managed = |id: &str| dump.teams.iter().find(|team| team.id == id && team.scim_managed);
        let said: BTreeSet<String> = dump
            .said(|statement| statement.scim)
            .into_iter()
            .filter(|(id, _)| *id == user.id)
            .filter_map(|(_, team)| managed(team).map(|team| team.display_name.clone()))
            .collect();
        let mut teams = self.teams_of(&user.id).await?;
        teams.retain(|name| {
            dump.teams.iter().any(|team| team.scim_managed && team.display_name == *name)
        });
        if teams != said {
            return Err(format!("2.3: {} is in {teams:?}, and SCIM says {said:?}", user.user_name));
        }
        Ok(())
    }

    /// Names of the teams that a user is effectively in.
    async fn teams_of(&self, id: &str) -> Result<BTreeSet<String>, String> {
        let answer = self.okta.scim.get(&format!("/Users/{id}")).await;
        if answer.status != 200 {
            return Err(format!("{} answered {}", answer.request, answer.status));
        }
        let groups = answer.body["groups"].as_array().cloned().unwrap_or_default();
        let name = |group: &Value| group["display"].as_str().unwrap_or_default().to_owned();
        Ok(groups.iter().map(name).collect())
    }

    /// Lets both sources say their latest, and compares.
    async fn settle(&mut self) -> Result<(), String> {
        let everybody: Vec<usize> =
            (0..self.org.people.len()).filter(|one| !self.org.people[*one].gone).collect();
        if self.setup.sign_in_first {
            let refused = self.sign_in_all(&everybody).await?;
            self.okta.has_deleted = false;
            self.drain().await?;
            // What SCIM deletes is gone with its claims; who was not let in comes again.
            let dump = self.dump().await;
            let is_in = |one: &usize| {
                let id = Some(self.org.people[*one].id.as_str());
                dump.users.iter().any(|user| user.subject.as_deref() == id)
            };
            let again: Vec<usize> = everybody
                .iter()
                .copied()
                .filter(|one| self.okta.has_deleted || refused.contains(one) || !is_in(one))
                .collect();
            self.sign_in_all(&again).await?;
        } else {
            self.drain().await?;
            self.sign_in_all(&everybody).await?;
        }
        // A name may have become free by another one's sign-in.
        let dump = self.dump().await;
        for person in everybody {
            self.compare(&dump, person).await?;
        }
        self.compare_teams(&dump)
    }

    /// Lets people sign in with what holds of them now; gives those who are not let in.
    async fn sign_in_all(&mut self, people: &[usize]) -> Result<BTreeSet<usize>, String> {
        let mut refused = BTreeSet::new();
        for person in people {
            self.now += 1;
            self.issue(*person, Claim::Complete);
            if let Some(token) = self.tokens.pop()
                && !self.sign_in(&token, How::Once).await?
            {
                refused.insert(*person);
            }
        }
        Ok(refused)
    }

    async fn drain(&mut self) -> Result<(), String> {
        for _ in 0..8 {
            for job in self.okta.waiting.clone() {
                if self.is_due(job) {
                    self.sync(job, How::Once).await?;
                }
            }
            if self.okta.waiting.is_empty() {
                return self.compare_pushed().await;
            }
        }
        Err(format!("(i) cannot be pushed: {:?}, {:?}", self.okta.waiting, self.okta.conflict))
    }

    /// 2.3: where SCIM decides, what it has said holds at once, whatever claims say still.
    async fn compare_pushed(&self) -> Result<(), String> {
        let groups = &self.org.groups;
        let pushed: BTreeSet<&str> =
            groups.iter().filter(|g| g.pushed).map(|g| g.name.as_str()).collect();
        let dump = self.dump().await;
        for (number, who) in self.org.people.iter().enumerate() {
            let is_theirs = |user: &&User| user.scim_owned && user.user_name == who.login;
            let Some(user) = dump.users.iter().find(is_theirs).filter(|_| who.is_assigned()) else {
                continue;
            };
            let mut teams = self.teams_of(&user.id).await?;
            teams.retain(|team| pushed.contains(team.as_str()));
            let truth: BTreeSet<String> = self
                .org
                .groups_of(number)
                .filter(|group| group.pushed)
                .map(|group| group.name.clone())
                .collect();
            // In a union claims may grant more.
            let holds = if self.setup.union { truth.is_subset(&teams) } else { teams == truth };
            if !holds {
                return Err(format!("2.3: {} is in {teams:?}, and SCIM says {truth:?}", who.id));
            }
        }
        Ok(())
    }

    /// (i): what the store has of somebody is what the provider has.
    async fn compare(&self, dump: &Dump, person: usize) -> Result<(), String> {
        let who = &self.org.people[person];
        // Where names are all that is known, SCIM's word on the name comes first.
        let is_pushed = |user: &&User| {
            !self.setup.external_ids && user.scim_owned && user.user_name == who.login
        };
        let pushed = dump.users.iter().find(is_pushed);
        let known = || dump.users.iter().find(|user| user.is(&who.id));
        let Some(user) = pushed.or_else(known) else {
            let name_is_taken = dump.users.iter().any(|user| user.user_name == who.login);
            let may_lack = !who.is_assigned() && (!self.setup.jit || name_is_taken);
            return if may_lack { Ok(()) } else { Err(format!("(i) {} is not there", who.id)) };
        };
        if who.is_assigned() && !(user.active && user.scim_owned) {
            return Err(format!("(i) {} is assigned, but {user:?}", who.id));
        }
        if user.scim_owned && user.active && !who.is_assigned() {
            return Err(format!("(i) {} is not assigned, but {user:?}", who.id));
        }
        let teams = self.teams_of(&user.id).await?;
        if !user.active {
            return if teams.is_empty() { Ok(()) } else { Err("(iv) in the end".to_owned()) };
        }
        if user.user_name != who.login || user.display_name.as_deref() != Some(&who.name()) {
            return Err(format!("(i) {who:?} is {user:?}"));
        }
        if user.subject.as_deref() != Some(who.id.as_str()) {
            return Err(format!("(i) {} cannot sign in as {user:?}", who.id));
        }
        let truth = self.org.teams_of(self.setup, person, user.scim_owned);
        if teams != truth {
            return Err(format!("(i) {} is in {teams:?}, but should be in {truth:?}", who.id));
        }
        Ok(())
    }

    fn compare_teams(&self, dump: &Dump) -> Result<(), String> {
        for group in self.org.groups.iter().filter(|group| group.pushed) {
            let is_it =
                dump.teams.iter().filter(|t| t.display_name == group.name && t.scim_managed);
            if is_it.count() != 1 {
                return Err(format!("(i) {} is pushed, but not there", group.name));
            }
        }
        Ok(())
    }
}
