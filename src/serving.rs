//! Which request is being served, so that whatever is logged meanwhile can say so.
//!
//! It goes along with the request's task; whoever hands work to another thread passes it on with
//! [`request`] and [`within`]. Entry point: [`during`].

use std::sync::Arc;

tokio::task_local! {
    static REQUEST: Arc<str>;
}

/// Does the work of a request.
pub async fn during<T>(request: &str, work: impl Future<Output = T>) -> T {
    REQUEST.scope(Arc::from(request), work).await
}

/// The id of the request that is being served here, if one is.
pub fn request() -> Option<Arc<str>> {
    REQUEST.try_with(Clone::clone).ok()
}

/// Does work as part of the request that was served where it was asked for.
pub fn within<T>(request: Option<&Arc<str>>, work: impl FnOnce() -> T) -> T {
    match request {
        Some(request) => REQUEST.sync_scope(request.clone(), work),
        None => work(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn work_on_another_thread_is_the_requests() {
        assert_eq!(request(), None);
        let elsewhere = during("r1", async {
            assert_eq!(request().as_deref(), Some("r1"));
            let own = request();
            std::thread::spawn(move || (within(own.as_ref(), request), request()))
        });
        let (told, after) = elsewhere.await.join().expect("a thread");
        assert_eq!((told.as_deref(), after), (Some("r1"), None));
        assert_eq!(request(), None);
    }
}
