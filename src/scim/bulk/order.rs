//! In which order the operations of a job are carried out.
//!
//! "The service provider MUST ensure that the client's intent is preserved and the same stateful
//! result is achieved" (RFC 7644 section 3.7): it is the order of the request, but for an operation
//! that refers to a later one, which waits for it. Operations that refer to each other in a circle
//! are one step. Operations on the same resource never overtake each other, unless they must.

use std::collections::{BTreeMap, BTreeSet};

/// What is known of one operation, by the places of others in the request.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    /// The operations that it refers to: they come before it.
    pub(super) needs: BTreeSet<usize>,
    /// The resource that it changes, if that is there before the operation.
    pub(super) changes: Option<String>,
    /// The resources that it mentions.
    pub(super) mentions: BTreeSet<String>,
}

/// The steps in order, each a set of operations: one, or all those of a circle, in the order of the
/// request.
pub(super) fn steps(nodes: &[Node]) -> Vec<Vec<usize>> {
    let components = components(nodes);
    let mut component_of = vec![0; nodes.len()];
    for (number, members) in components.iter().enumerate() {
        for &member in members {
            if let Some(component) = component_of.get_mut(member) {
                *component = number;
            }
        }
    }
    let mut graph: Vec<Ranked> = components.iter().map(|members| Ranked::new(members)).collect();
    let of = |operation: usize| component_of.get(operation).copied().unwrap_or_default();
    let needed = nodes.iter().enumerate().flat_map(|(operation, node)| {
        node.needs.iter().map(move |&needed| (needed, operation, true))
    });
    let overtaken = successions(nodes).into_iter().map(|(a, b)| (a, b, false));
    for (before, after, is_needed) in needed.chain(overtaken) {
        let (before, after) = (of(before), of(after));
        if before != after {
            link(&mut graph, before, after, is_needed);
        }
    }
    sorted(graph, components)
}

/// A component in the course of sorting.
struct Ranked {
    /// When it would be its turn: its last operation is the one that the others wait for.
    turn: usize,
    /// How many components it waits for because it refers to them.
    needs: usize,
    /// How many it waits for lest it overtakes them.
    wishes: usize,
    /// Those that wait for it, and whether they need to.
    then: BTreeMap<usize, bool>,
}

impl Ranked {
    fn new(members: &[usize]) -> Self {
        let turn = members.iter().copied().max().unwrap_or_default();
        Self { turn, needs: 0, wishes: 0, then: BTreeMap::new() }
    }
}

/// Needs are linked first: a wish adds nothing to a need.
fn link(graph: &mut [Ranked], before: usize, after: usize, is_needed: bool) {
    let Some(earlier) = graph.get_mut(before) else { return };
    if earlier.then.contains_key(&after) {
        return;
    }
    earlier.then.insert(after, is_needed);
    let Some(later) = graph.get_mut(after) else { return };
    later.needs += usize::from(is_needed);
    later.wishes += usize::from(!is_needed);
}

/// Whoever needs nobody any more and comes first, and rather one that overtakes nobody.
fn sorted(mut graph: Vec<Ranked>, components: Vec<Vec<usize>>) -> Vec<Vec<usize>> {
    let mut components: Vec<Option<Vec<usize>>> = components.into_iter().map(Some).collect();
    let rank = |number: usize, ranked: &Ranked| (ranked.wishes > 0, ranked.turn, number);
    let mut ready: BTreeSet<(bool, usize, usize)> = graph
        .iter()
        .enumerate()
        .filter(|(_, ranked)| ranked.needs == 0)
        .map(|(number, ranked)| rank(number, ranked))
        .collect();
    let mut steps = Vec::with_capacity(components.len());
    while let Some((_, _, next)) = ready.pop_first() {
        steps.extend(components.get_mut(next).and_then(Option::take));
        let then = graph.get_mut(next).map(|ranked| std::mem::take(&mut ranked.then));
        for (number, is_needed) in then.unwrap_or_default() {
            let Some(ranked) = graph.get_mut(number) else { continue };
            let was_ready = ready.remove(&rank(number, ranked));
            if is_needed {
                ranked.needs -= 1;
            } else {
                ranked.wishes -= 1;
            }
            // One that has overtaken already is done.
            let is_done = components.get(number).is_none_or(Option::is_none);
            if was_ready || (ranked.needs == 0 && !is_done) {
                ready.insert(rank(number, ranked));
            }
        }
    }
    steps
}

/// Pairs of operations of which the first changes what the second changes or mentions, or the other
/// way round: between two changes there are only those that follow each other.
fn successions(nodes: &[Node]) -> Vec<(usize, usize)> {
    #[derive(Default)]
    struct Past {
        changed: Option<usize>,
        mentioned_since: Vec<usize>,
    }
    let mut pasts: BTreeMap<&str, Past> =
        nodes.iter().filter_map(|node| Some((node.changes.as_deref()?, Past::default()))).collect();
    let mut pairs = Vec::new();
    for (operation, node) in nodes.iter().enumerate() {
        for resource in &node.mentions {
            if let Some(past) = pasts.get_mut(resource.as_str()) {
                pairs.extend(past.changed.map(|earlier| (earlier, operation)));
                past.mentioned_since.push(operation);
            }
        }
        if let Some(past) = node.changes.as_deref().and_then(|resource| pasts.get_mut(resource)) {
            pairs.extend(past.changed.map(|earlier| (earlier, operation)));
            pairs.extend(past.mentioned_since.drain(..).map(|earlier| (earlier, operation)));
            past.changed = Some(operation);
        }
    }
    pairs.retain(|(earlier, later)| earlier != later);
    pairs
}

/// The strongly connected components, each in the order of the request (Kosaraju's algorithm).
fn components(nodes: &[Node]) -> Vec<Vec<usize>> {
    let forward: Vec<Vec<usize>> =
        nodes.iter().map(|node| node.needs.iter().copied().collect()).collect();
    let mut backward = vec![Vec::new(); nodes.len()];
    for (operation, needs) in forward.iter().enumerate() {
        for &needed in needs {
            if let Some(needing) = backward.get_mut(needed) {
                needing.push(operation);
            }
        }
    }
    let mut seen = vec![false; nodes.len()];
    let mut finished = Vec::with_capacity(nodes.len());
    for start in 0..nodes.len() {
        visit(&forward, start, &mut seen, &mut finished);
    }
    let mut seen = vec![false; nodes.len()];
    let mut components = Vec::new();
    for &start in finished.iter().rev() {
        let mut component = Vec::new();
        visit(&backward, start, &mut seen, &mut component);
        if !component.is_empty() {
            component.sort_unstable();
            components.push(component);
        }
    }
    components
}

/// Visits what can be reached from `start` and was not seen before, and appends each node after
/// those that it leads to. Without recursion: a client chooses how deep it goes.
fn visit(graph: &[Vec<usize>], start: usize, seen: &mut [bool], finished: &mut Vec<usize>) {
    if !enter(seen, start) {
        return;
    }
    let mut path = vec![(start, graph.get(start).map(|next| next.iter()).unwrap_or_default())];
    while let Some((node, next)) = path.last_mut() {
        match next.next() {
            Some(&next) if enter(seen, next) => {
                path.push((next, graph.get(next).map(|next| next.iter()).unwrap_or_default()));
            }
            Some(_) => {}
            None => {
                finished.push(*node);
                path.pop();
            }
        }
    }
}

/// Whether the node was not seen before; it is from now on.
fn enter(seen: &mut [bool], node: usize) -> bool {
    seen.get_mut(node).is_some_and(|seen| !std::mem::replace(seen, true))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether each node leads to each other one.
    pub(in crate::scim::bulk) fn reachable(edges: &[BTreeSet<usize>]) -> Vec<Vec<bool>> {
        let count = edges.len();
        let mut reached: Vec<Vec<bool>> =
            edges.iter().map(|to| (0..count).map(|node| to.contains(&node)).collect()).collect();
        for middle in 0..count {
            for from in 0..count {
                for to in 0..count {
                    if reached[from][middle] && reached[middle][to] {
                        reached[from][to] = true;
                    }
                }
            }
        }
        reached
    }

    fn nodes() -> impl Strategy<Value = Vec<Node>> {
        let resource = || (0..4_u8).prop_map(|number| number.to_string());
        (1..14_usize).prop_flat_map(move |count| {
            let node = (
                prop::collection::btree_set(0..count, 0..3),
                prop::option::of(resource()),
                prop::collection::btree_set(resource(), 0..2),
                0..3_u8,
            );
            let node = node.prop_map(|(needs, changes, mentions, dense)| Node {
                needs: if dense == 0 { needs } else { BTreeSet::new() },
                changes,
                mentions,
            });
            prop::collection::vec(node, count)
        })
    }

    proptest! {
        #[test]
        fn every_operation_comes_after_those_that_it_refers_to(nodes in nodes()) {
            let steps = steps(&nodes);
            let mut step_of = BTreeMap::new();
            for (number, places) in steps.iter().enumerate() {
                prop_assert!(places.is_sorted());
                for place in places {
                    prop_assert_eq!(step_of.insert(*place, number), None, "{} comes once", place);
                }
            }
            prop_assert_eq!(step_of.len(), nodes.len());
            let needs: Vec<BTreeSet<usize>> = nodes.iter().map(|node| node.needs.clone()).collect();
            let reached = reachable(&needs);
            for a in 0..nodes.len() {
                for b in 0..nodes.len() {
                    if reached[a][b] {
                        prop_assert!(step_of[&b] <= step_of[&a], "{} waits for {}", a, b);
                    }
                    let in_one_circle = a == b || (reached[a][b] && reached[b][a]);
                    prop_assert_eq!(step_of[&a] == step_of[&b], in_one_circle, "{} and {}", a, b);
                }
            }
        }

        #[test]
        fn without_references_forward_it_is_the_order_of_the_request(nodes in nodes()) {
            let mut nodes = nodes;
            for (place, node) in nodes.iter_mut().enumerate() {
                node.needs.retain(|needed| *needed < place);
            }
            let order: Vec<Vec<usize>> = (0..nodes.len()).map(|place| vec![place]).collect();
            prop_assert_eq!(steps(&nodes), order);
        }

        #[test]
        fn no_operation_overtakes_another_one_on_its_resource(nodes in nodes()) {
            let steps = steps(&nodes);
            let step_of: BTreeMap<usize, usize> = steps
                .iter()
                .enumerate()
                .flat_map(|(step, places)| places.iter().map(move |place| (*place, step)))
                .collect();
            let concerns = |a: &Node, b: &Node| {
                a.changes.as_ref().is_some_and(|resource| {
                    b.changes.as_ref() == Some(resource) || b.mentions.contains(resource)
                })
            };
            let mut pairs = Vec::new();
            for b in 0..nodes.len() {
                for a in 0..b {
                    if concerns(&nodes[a], &nodes[b]) || concerns(&nodes[b], &nodes[a]) {
                        pairs.push((a, b));
                    }
                }
            }
            // Where the references do not force it.
            let mut edges = vec![BTreeSet::new(); steps.len()];
            for (place, node) in nodes.iter().enumerate() {
                for needed in &node.needs {
                    edges[step_of[&place]].insert(step_of[needed]);
                }
            }
            for (a, b) in &pairs {
                edges[step_of[b]].insert(step_of[a]);
            }
            for (step, edges) in edges.iter_mut().enumerate() {
                edges.remove(&step);
            }
            let reached = reachable(&edges);
            let is_forced = (0..steps.len()).any(|step| reached[step][step]);
            if !is_forced {
                for (a, b) in pairs {
                    prop_assert!(step_of[&a] <= step_of[&b], "{} overtakes {}", b, a);
                }
            }
        }
    }
}
