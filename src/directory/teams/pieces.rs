//! A team of many members as text, made while it is sent: it is not in memory as a whole, but for clients
//! that know of no pieces.

use std::vec::IntoIter;

use super::{Team, member};
use crate::db::members::MemberRow;
use crate::directory::DirectoryResult;
use crate::scim::projection::Projection;
use crate::scim::projection::text::{Elements, Frame};

/// Members from which on a team is made in pieces.
const MANY: usize = 1_000;
/// Bytes that a member takes beside what its texts are long.
const ALLOCATED: usize = 32;
/// Bytes of a piece, or a little more.
const PIECE: usize = 32 * 1024;

/// The text of a team, piece by piece.
#[derive(Debug)]
pub struct Pieces {
    /// Whether the team's location is part of the text.
    pub has_location: bool,
    /// What it takes of memory until it is sent, in bytes.
    pub weight: usize,
    head: Vec<u8>,
    elements: Elements,
    members: IntoIter<MemberRow>,
    is_first: bool,
    tail: Option<Vec<u8>>,
    base_url: String,
}

impl Team {
    /// What a projection shows of it, in pieces; `None` if it is as well written at once. The pieces
    /// take the members along.
    ///
    /// # Errors
    /// The stored document is unreadable.
    pub fn pieces(
        &mut self,
        projection: &Projection,
        base_url: &str,
    ) -> DirectoryResult<Option<Pieces>> {
        if self.members.as_ref().is_none_or(|members| members.len() < MANY) {
            return Ok(None);
        }
        let Frame { head, elements, tail, has_location } =
            projection.frame(&self.representation(base_url))?;
        let Some(elements) = elements else { return Ok(None) };
        let members = self.members.take().unwrap_or_default();
        let display = |row: &MemberRow| row.display.as_ref().map_or(0, String::capacity);
        let weight = |row: &MemberRow| {
            size_of::<MemberRow>() + ALLOCATED + row.user_id.capacity() + display(row)
        };
        let around = head.len() + tail.len() + PIECE;
        Ok(Some(Pieces {
            has_location,
            weight: around + members.iter().map(weight).sum::<usize>(),
            head,
            elements,
            members: members.into_iter(),
            is_first: true,
            tail: Some(tail),
            base_url: base_url.to_owned(),
        }))
    }
}

impl Iterator for Pieces {
    type Item = serde_json::Result<Vec<u8>>;

    fn next(&mut self) -> Option<Self::Item> {
        self.tail.as_ref()?;
        let mut piece = std::mem::take(&mut self.head);
        piece.reserve(PIECE + PIECE / 8);
        for row in self.members.by_ref() {
            let element = member(&row, &self.base_url);
            if let Err(error) = self.elements.write(&mut piece, self.is_first, element) {
                return Some(Err(error));
            }
            self.is_first = false;
            if piece.len() >= PIECE {
                return Some(Ok(piece));
            }
        }
        piece.extend(self.tail.take()?);
        Some(Ok(piece))
    }
}
