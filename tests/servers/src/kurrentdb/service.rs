//! What a node answers.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};
use uuid::Uuid;

use super::log::{Appended, Database, Expected, Found, Proposed, Record};
use super::protocol::event_store::client as c;
use super::protocol::event_store::client::gossip::gossip_server::{Gossip, GossipServer};
use super::protocol::event_store::client::server_features as f;
use super::protocol::event_store::client::server_features::server_features_server::{
    ServerFeatures, ServerFeaturesServer,
};
use super::protocol::event_store::client::streams as s;
use super::protocol::event_store::client::streams::streams_server::{Streams, StreamsServer};
use super::{CallFault, Cluster, Faults, SubscriptionFault};

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The largest append that a server takes.
const LARGEST: usize = 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Node {
    database: Database,
    faults: Arc<Faults>,
    cluster: Arc<Cluster>,
    address: SocketAddr,
}

impl Node {
    pub(super) fn new(
        database: Database,
        faults: Arc<Faults>,
        cluster: Arc<Cluster>,
        address: SocketAddr,
    ) -> Self {
        Self { database, faults, cluster, address }
    }

    pub(super) async fn serve(self, listener: std::net::TcpListener, identity: Option<Identity>) {
        let listener = TcpListener::from_std(listener).unwrap();
        let connections = TcpListenerStream::new(listener).map(|connection| {
            connection.inspect(|connection| connection.set_nodelay(true).unwrap())
        });
        let mut server = tonic::transport::Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let _ = server
            .add_service(StreamsServer::new(self.clone()))
            .add_service(ServerFeaturesServer::new(self.clone()))
            .add_service(GossipServer::new(self))
            .serve_with_incoming(connections)
            .await;
    }

    /// Refuses what only a leader does.
    fn check_leader(&self) -> Result<(), Status> {
        let leader = *self.cluster.leader.lock().unwrap();
        match leader {
            Some(leader) if leader != self.address => {
                let mut status = Status::not_found("Leader info available");
                let told = status.metadata_mut();
                told.insert("exception", "not-leader".parse().unwrap());
                told.insert("leader-endpoint-host", leader.ip().to_string().parse().unwrap());
                told.insert("leader-endpoint-port", leader.port().to_string().parse().unwrap());
                Err(status)
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// What goes wrong before anything is done.
async fn before(fault: CallFault) -> Result<(), Status> {
    match fault {
        CallFault::NotReady => Err(Status::unavailable("Server Is Not Ready")),
        CallFault::Hang => std::future::pending().await,
        CallFault::None | CallFault::DoneThenError | CallFault::DoneThenLate(_) => Ok(()),
    }
}

/// What goes wrong once it is done.
async fn after(fault: CallFault) -> Result<(), Status> {
    match fault {
        CallFault::DoneThenError => Err(Status::unavailable("the connection was cut")),
        CallFault::DoneThenLate(late) => {
            tokio::time::sleep(late).await;
            Ok(())
        }
        CallFault::None | CallFault::NotReady | CallFault::Hang => Ok(()),
    }
}

#[tonic::async_trait]
impl Streams for Node {
    type ReadStream = Answers<s::ReadResp>;
    type BatchAppendStream = Answers<s::BatchAppendResp>;

    async fn read(
        &self,
        request: Request<s::ReadReq>,
    ) -> Result<Response<Self::ReadStream>, Status> {
        use s::read_req::options::{CountOption, FilterOption, StreamOption};
        let missing = || Status::invalid_argument("an option is missing");
        let fault = *self.faults.reads.lock().unwrap();
        before(fault).await?;
        let options = request.into_inner().options.ok_or_else(missing)?;
        let backwards = options.read_direction == 1;
        match (options.stream_option, options.count_option.ok_or_else(missing)?) {
            (Some(StreamOption::Stream(stream)), CountOption::Count(count)) => {
                let asks_last = options.control_option.is_some();
                self.read_stream(stream, backwards, count, asks_last)
            }
            (Some(StreamOption::All(all)), CountOption::Subscription(_)) => {
                let filter = match options.filter_option {
                    Some(FilterOption::Filter(filter)) => Some(Filter::of(filter)),
                    Some(FilterOption::NoFilter(_)) | None => None,
                };
                Ok(Response::new(self.subscribe(&all, filter)))
            }
            _ => Err(Status::unimplemented("the stand-in does not do this")),
        }
    }

    async fn append(
        &self,
        request: Request<Streaming<s::AppendReq>>,
    ) -> Result<Response<s::AppendResp>, Status> {
        let told = request.metadata().get("authorization");
        let told = told.map(|value| value.to_str().unwrap().to_owned());
        *self.faults.authorization.lock().unwrap() = told;
        use s::append_req::Content;
        use s::append_req::options::ExpectedStreamRevision as E;
        let missing = || Status::invalid_argument("an option is missing");
        let fault = *self.faults.appends.lock().unwrap();
        before(fault).await?;
        self.check_leader()?;
        let mut messages = request.into_inner();
        let Some(Content::Options(options)) = messages.message().await?.and_then(|m| m.content)
        else {
            return Err(missing());
        };
        let mut events = Vec::new();
        while let Some(message) = messages.message().await? {
            if let Some(Content::ProposedMessage(event)) = message.content {
                events.push(Proposed {
                    id: id_of(event.id.and_then(|id| id.value)),
                    metadata: event.metadata,
                    custom_metadata: event.custom_metadata,
                    data: event.data,
                });
            }
        }
        let size: usize = events.iter().map(|e| e.data.len() + e.custom_metadata.len()).sum();
        if size > LARGEST {
            return Err(Status::invalid_argument("Maximum Append Size exceeded"));
        }
        let expected = match options.expected_stream_revision.ok_or_else(missing)? {
            E::Any(_) => Expected::Any,
            E::NoStream(_) => Expected::NoStream,
            E::StreamExists(_) => Expected::Exists,
            E::Revision(revision) => Expected::Exact(revision),
        };
        let stream = name_of(options.stream_identifier.ok_or_else(missing)?);
        let appended = self.database.append(&stream, expected, events);
        after(fault).await?;
        match appended {
            Appended::Written { revision, position } => {
                Ok(Response::new(written(revision, position)))
            }
            Appended::WrongExpected { current } => Ok(Response::new(wrong(current, expected))),
            Appended::Deleted => Err(deleted()),
        }
    }

    async fn delete(&self, _: Request<s::DeleteReq>) -> Result<Response<s::DeleteResp>, Status> {
        Err(Status::unimplemented("the stand-in does not do this"))
    }

    async fn tombstone(
        &self,
        _: Request<s::TombstoneReq>,
    ) -> Result<Response<s::TombstoneResp>, Status> {
        Err(Status::unimplemented("the stand-in does not do this"))
    }

    async fn batch_append(
        &self,
        _: Request<Streaming<s::BatchAppendReq>>,
    ) -> Result<Response<Self::BatchAppendStream>, Status> {
        Err(Status::unimplemented("the stand-in does not do this"))
    }
}

impl Node {
    fn read_stream(
        &self,
        asked: s::read_req::options::StreamOptions,
        backwards: bool,
        count: u64,
        asks_last: bool,
    ) -> Result<Response<Answers<s::ReadResp>>, Status> {
        use s::read_req::options::stream_options::RevisionOption;
        use s::read_resp::{Content, StreamNotFound};
        let name = asked.stream_identifier.clone().map(name_of).unwrap_or_default();
        let (mut events, last) = match self.database.stream(&name) {
            Found::Deleted => return Err(deleted()),
            Found::Nothing => {
                let told = StreamNotFound { stream_identifier: asked.stream_identifier };
                let told = answer(Content::StreamNotFound(told));
                return Ok(Response::new(stream::iter([Ok(told)]).boxed()));
            }
            Found::Events { events, last } => (events, last),
        };
        if let Some(RevisionOption::Revision(from)) = asked.revision_option {
            events.retain(|e| if backwards { e.revision <= from } else { e.revision >= from });
        }
        if backwards {
            events.reverse();
        }
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let mut told: Vec<_> = events.iter().take(count).map(|event| Ok(appeared(event))).collect();
        if asks_last {
            told.push(Ok(answer(Content::LastStreamPosition(last))));
        }
        Ok(Response::new(stream::iter(told).boxed()))
    }

    fn subscribe(
        &self,
        asked: &s::read_req::options::AllOptions,
        filter: Option<Filter>,
    ) -> Answers<s::ReadResp> {
        use s::read_req::options::all_options::AllOption;
        let after = match &asked.all_option {
            Some(AllOption::Position(position)) => Some(position.commit_position),
            Some(AllOption::End(_)) => self.database.last(),
            Some(AllOption::Start(_)) | None => None,
        };
        let (told, answers) = mpsc::channel(32);
        tokio::spawn(deliver(self.database.clone(), self.faults.clone(), after, filter, told));
        ReceiverStream::new(answers).boxed()
    }
}

/// Which events a subscription is told.
struct Filter {
    prefixes: Vec<String>,
    /// After how many events that were looked through there is a checkpoint.
    window: usize,
}

impl Filter {
    fn of(options: s::read_req::options::FilterOptions) -> Self {
        use s::read_req::options::filter_options::{Filter as By, Window};
        let prefixes = match options.filter {
            Some(By::StreamIdentifier(expression)) => expression.prefix,
            Some(By::EventType(_)) | None => panic!("the stand-in filters by names of streams"),
        };
        let window = match options.window {
            Some(Window::Max(most)) => most as usize,
            Some(Window::Count(_)) | None => 32,
        };
        Self { prefixes, window }
    }

    fn takes(&self, event: &Record) -> bool {
        self.prefixes.iter().any(|prefix| event.stream.starts_with(prefix))
    }
}

/// Tells a subscription what there is, then that it has caught up, then what comes.
async fn deliver(
    database: Database,
    faults: Arc<Faults>,
    mut after: Option<u64>,
    filter: Option<Filter>,
    told: mpsc::Sender<Result<s::ReadResp, Status>>,
) -> Option<()> {
    use s::read_resp::{CaughtUp, Checkpoint, Content, SubscriptionConfirmation};
    let mut head = database.head();
    let mut fault = faults.subscriptions.subscribe();
    // What goes wrong with others does not concern this one.
    fault.mark_unchanged();
    let begun_with = *fault.borrow();
    if begun_with == SubscriptionFault::Silent {
        told.closed().await;
        return None;
    }
    let checkpoint = |commit_position, prepare_position| {
        Ok(answer(Content::Checkpoint(Checkpoint { commit_position, prepare_position })))
    };
    let id = Uuid::from_u128(2).to_string();
    let confirmed = SubscriptionConfirmation { subscription_id: id };
    told.send(Ok(answer(Content::Confirmation(confirmed)))).await.ok()?;
    let mut looked_through = 0;
    let mut has_caught_up = false;
    loop {
        loop {
            head.borrow_and_update();
            let events = database.after(after, 500);
            if events.is_empty() {
                break;
            }
            for event in events {
                after = Some(event.position);
                if filter.as_ref().is_none_or(|filter| filter.takes(&event)) {
                    told.send(Ok(appeared(&event))).await.ok()?;
                }
                looked_through += 1;
                if filter.as_ref().is_some_and(|filter| looked_through >= filter.window) {
                    looked_through = 0;
                    // In catch-up it is the edge of what was looked through, no event's position.
                    let prepare = if has_caught_up { event.position } else { 0 };
                    told.send(checkpoint(event.position, prepare)).await.ok()?;
                }
            }
        }
        if !has_caught_up {
            has_caught_up = true;
            told.send(Ok(answer(Content::CaughtUp(CaughtUp {})))).await.ok()?;
        }
        tokio::select! {
            changed = head.changed() => changed.ok()?,
            () = told.closed() => return None,
            _ = changed(&mut fault) => {}
        }
        if !fault.has_changed().ok()? {
            continue;
        }
        let now = *fault.borrow_and_update();
        if now != SubscriptionFault::None {
            faults.struck.send_modify(|count| *count += 1);
        }
        match now {
            SubscriptionFault::None => {}
            SubscriptionFault::End => return None,
            SubscriptionFault::Error => {
                told.send(Err(Status::unavailable("the node is going away"))).await.ok()?;
                return None;
            }
            SubscriptionFault::Silent => {
                told.closed().await;
                return None;
            }
        }
    }
}

/// Waits for a change, and leaves it to be seen.
async fn changed(fault: &mut tokio::sync::watch::Receiver<SubscriptionFault>) {
    if fault.changed().await.is_ok() {
        fault.mark_changed();
    }
}

#[tonic::async_trait]
impl ServerFeatures for Node {
    async fn get_supported_methods(
        &self,
        _: Request<c::Empty>,
    ) -> Result<Response<f::SupportedMethods>, Status> {
        let event_store_server_version = "24.10.0".to_owned();
        Ok(Response::new(f::SupportedMethods { event_store_server_version, methods: Vec::new() }))
    }
}

#[tonic::async_trait]
impl Gossip for Node {
    async fn read(&self, _: Request<c::Empty>) -> Result<Response<c::gossip::ClusterInfo>, Status> {
        use c::gossip::member_info::VNodeState;
        let leader = *self.cluster.leader.lock().unwrap();
        let members = self.cluster.members.lock().unwrap().clone();
        let info = |address: SocketAddr| {
            let state =
                if leader == Some(address) { VNodeState::Leader } else { VNodeState::Follower };
            c::gossip::MemberInfo {
                instance_id: None,
                time_stamp: 0,
                state: state as i32,
                is_alive: leader == Some(address) || address == self.address,
                http_end_point: Some(c::gossip::EndPoint {
                    address: address.ip().to_string(),
                    port: u32::from(address.port()),
                }),
            }
        };
        let members = members.into_iter().map(info).collect();
        Ok(Response::new(c::gossip::ClusterInfo { members }))
    }
}

fn name_of(identifier: c::StreamIdentifier) -> String {
    String::from_utf8(identifier.stream_name).unwrap()
}

fn id_of(value: Option<c::uuid::Value>) -> Uuid {
    match value {
        Some(c::uuid::Value::String(text)) => text.parse().unwrap(),
        Some(c::uuid::Value::Structured(halves)) => Uuid::from_u64_pair(
            halves.most_significant_bits as u64,
            halves.least_significant_bits as u64,
        ),
        None => panic!("an event has an id"),
    }
}

fn answer(content: s::read_resp::Content) -> s::ReadResp {
    s::ReadResp { content: Some(content) }
}

fn appeared(event: &Record) -> s::ReadResp {
    use s::read_resp::read_event::{Position, RecordedEvent};
    let id = c::Uuid { value: Some(c::uuid::Value::String(event.id.to_string())) };
    let stream_name = event.stream.clone().into_bytes();
    answer(s::read_resp::Content::Event(s::read_resp::ReadEvent {
        event: Some(RecordedEvent {
            id: Some(id),
            stream_identifier: Some(c::StreamIdentifier { stream_name }),
            stream_revision: event.revision,
            prepare_position: event.position,
            commit_position: event.position,
            metadata: event.metadata.clone(),
            custom_metadata: event.custom_metadata.clone(),
            data: event.data.clone(),
        }),
        link: None,
        position: Some(Position::CommitPosition(event.position)),
    }))
}

fn written(revision: u64, position: u64) -> s::AppendResp {
    use s::append_resp::success::{CurrentRevisionOption, PositionOption};
    use s::append_resp::{Position, Result, Success};
    let position = Position { commit_position: position, prepare_position: position };
    s::AppendResp {
        result: Some(Result::Success(Success {
            current_revision_option: Some(CurrentRevisionOption::CurrentRevision(revision)),
            position_option: Some(PositionOption::Position(position)),
        })),
    }
}

fn wrong(current: Option<u64>, expected: Expected) -> s::AppendResp {
    use s::append_resp::wrong_expected_version::{CurrentRevisionOption, ExpectedRevisionOption};
    use s::append_resp::{Result, WrongExpectedVersion};
    let current = match current {
        Some(revision) => CurrentRevisionOption::CurrentRevision(revision),
        None => CurrentRevisionOption::CurrentNoStream(c::Empty {}),
    };
    let expected = match expected {
        Expected::Any => ExpectedRevisionOption::ExpectedAny(c::Empty {}),
        Expected::NoStream => ExpectedRevisionOption::ExpectedNoStream(c::Empty {}),
        Expected::Exists => ExpectedRevisionOption::ExpectedStreamExists(c::Empty {}),
        Expected::Exact(revision) => ExpectedRevisionOption::ExpectedRevision(revision),
    };
    s::AppendResp {
        result: Some(Result::WrongExpectedVersion(WrongExpectedVersion {
            current_revision_option_20_6_0: None,
            expected_revision_option_20_6_0: None,
            current_revision_option: Some(current),
            expected_revision_option: Some(expected),
        })),
    }
}

fn deleted() -> Status {
    let mut status = Status::failed_precondition("the stream is deleted");
    status.metadata_mut().insert("exception", "stream-deleted".parse().unwrap());
    status
}
