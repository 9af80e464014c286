//! A fault of the database that lasts. The log tells of it when it begins, now and then while it
//! lasts, and when it is over, however many requests meet it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How often the log says that it lasts.
const REMINDER: Duration = Duration::from_mins(1);
/// How many causes of one fault are told of.
const MAX_CAUSES: usize = 8;
/// How long an attempt is waited for that nobody has heard of again.
const LOST: Duration = Duration::from_mins(1);
/// How long nobody tries again after an attempt that failed.
const PAUSE: Duration =
    if cfg!(test) { Duration::from_mins(1) } else { Duration::from_millis(200) };

/// A fault that there may be.
#[derive(Debug)]
pub struct Outage {
    /// What is the matter while there is one, as the log says it.
    what: String,
    /// Spares everybody the lock as long as all is well.
    is_on: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    lasting: Option<Lasting>,
    /// The causes that the log has told of, and when: a fault that comes and goes, as on a disk with
    /// room for little, is not told of each time.
    causes: Vec<(String, Instant)>,
}

#[derive(Debug)]
struct Lasting {
    /// The latest cause.
    cause: String,
    /// Whether the log has told of it.
    is_told: bool,
    began: Instant,
    told: Instant,
    tried: Instant,
    /// Whether somebody is trying right now.
    is_tried: bool,
    /// How many have met it.
    met: u64,
}

impl Outage {
    /// A fault that is not there yet.
    pub fn new(what: String) -> Self {
        Self { what, is_on: AtomicBool::new(false), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether to try: always, as long as all is well; else one at a time, and not at once after the
    /// last, so that nobody waits for what has just been found in vain.
    ///
    /// # Errors
    /// The cause of the fault.
    pub fn may_try(&self) -> Result<(), String> {
        if !self.is_on.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut state = self.state();
        let Some(lasting) = state.lasting.as_mut() else { return Ok(()) };
        let pause = if lasting.is_tried { LOST } else { PAUSE };
        if lasting.tried.elapsed() < pause {
            lasting.met += 1;
            return Err(lasting.cause.clone());
        }
        (lasting.is_tried, lasting.tried) = (true, Instant::now());
        Ok(())
    }

    /// Somebody has met the fault.
    pub fn met(&self, cause: &str) {
        let mut state = self.state();
        let State { lasting, causes } = &mut *state;
        let now = Instant::now();
        let lasting = lasting.get_or_insert_with(|| Lasting {
            cause: String::new(),
            is_told: false,
            began: now,
            told: now,
            tried: now,
            is_tried: false,
            met: 0,
        });
        cause.clone_into(&mut lasting.cause);
        lasting.met += 1;
        lasting.tried = now;
        lasting.is_tried = false;
        causes.retain(|(_, told)| told.elapsed() < REMINDER);
        if causes.len() < MAX_CAUSES && !causes.iter().any(|(told, _)| told == cause) {
            causes.push((cause.to_owned(), now));
            lasting.is_told = true;
            log::error!("{}: {cause}", self.what);
        }
        if lasting.told.elapsed() >= REMINDER {
            lasting.told = now;
            lasting.is_told = true;
            let (seconds, met) = (lasting.began.elapsed().as_secs(), lasting.met);
            log::error!("{} for {seconds} s, and {met} times: {cause}", self.what);
        }
        self.is_on.store(true, Ordering::Release);
    }

    /// Somebody has not met it where it would have been.
    pub fn ended(&self) {
        if !self.is_on.load(Ordering::Acquire) {
            return;
        }
        let mut state = self.state();
        self.is_on.store(false, Ordering::Release);
        if let Some(lasting) = state.lasting.take().filter(|lasting| lasting.is_told) {
            let (seconds, met) = (lasting.began.elapsed().as_secs(), lasting.met);
            log::warn!("no more after {seconds} s, and {met} times: {}", self.what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_tries_while_the_others_are_told_the_cause() {
        let outage = Outage::new("it is broken".to_owned());
        assert_eq!((outage.may_try(), outage.may_try()), (Ok(()), Ok(())));
        outage.met("a cable");
        assert_eq!(outage.may_try(), Err("a cable".to_owned()), "it was tried just now");
        if let Some(lasting) = outage.state().lasting.as_mut() {
            lasting.tried = Instant::now().checked_sub(PAUSE).expect("a time before");
        }
        assert_eq!(outage.may_try(), Ok(()));
        assert_eq!(outage.may_try(), Err("a cable".to_owned()), "another one is trying");
        outage.met("a switch");
        assert_eq!(outage.may_try(), Err("a switch".to_owned()));
        outage.ended();
        assert_eq!((outage.may_try(), outage.may_try()), (Ok(()), Ok(())));
    }
}
