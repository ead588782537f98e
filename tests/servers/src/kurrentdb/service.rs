//! The services of a node.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt, stream};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::{Identity, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

use super::forms::{answer, appeared, deleted, id_of, name_of, written, wrong};
use super::log::{Appended, Database, Expected, Found, Proposed};
use super::protocol::event_store::client as c;
use super::protocol::event_store::client::gossip::gossip_server::{Gossip, GossipServer};
use super::protocol::event_store::client::server_features as f;
use super::protocol::event_store::client::server_features::server_features_server::{
    ServerFeatures, ServerFeaturesServer,
};
use super::protocol::event_store::client::streams as s;
use super::protocol::event_store::client::streams::streams_server::{Streams, StreamsServer};
use super::subscription::{Filter, deliver};
use super::{CallFault, Cluster, Denied, Faults};

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

    /// Refuses the call if users lack this right.
    fn check_right(&self, needed: Denied) -> Result<(), Status> {
        if self.faults.denied.lock().unwrap().contains(&needed) {
            return Err(Status::permission_denied("Access denied"));
        }
        Ok(())
    }

    /// Refuses the call if another node is the leader.
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

/// The name of the stream that a call is about.
fn named(stream: Option<c::StreamIdentifier>) -> Result<String, Status> {
    stream.map(name_of).ok_or_else(|| Status::invalid_argument("the stream is missing"))
}

/// Lets a fault happen before the call is done.
async fn before(fault: CallFault) -> Result<(), Status> {
    match fault {
        CallFault::NotReady => Err(Status::unavailable("Server Is Not Ready")),
        CallFault::Hang => std::future::pending().await,
        CallFault::None | CallFault::DoneThenError | CallFault::DoneThenLate(_) => Ok(()),
    }
}

/// Lets a fault happen after the call is done.
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
        if matches!(options.stream_option, Some(StreamOption::All(_))) {
            self.check_right(Denied::ReadAll)?;
        }
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
            (Some(StreamOption::All(all)), CountOption::Count(count)) if !backwards => {
                self.read_all(&all, count)
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
        self.check_right(Denied::Append)?;
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
        let stream = named(options.stream_identifier)?;
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

    async fn delete(
        &self,
        request: Request<s::DeleteReq>,
    ) -> Result<Response<s::DeleteResp>, Status> {
        use s::delete_resp::PositionOption;
        let options = request.into_inner().options;
        self.database.soft_delete(&named(options.and_then(|options| options.stream_identifier))?);
        let position_option = Some(PositionOption::NoPosition(c::Empty {}));
        Ok(Response::new(s::DeleteResp { position_option }))
    }

    async fn tombstone(
        &self,
        request: Request<s::TombstoneReq>,
    ) -> Result<Response<s::TombstoneResp>, Status> {
        use s::tombstone_resp::PositionOption;
        let options = request.into_inner().options;
        self.database.tombstone(&named(options.and_then(|options| options.stream_identifier))?);
        let position_option = Some(PositionOption::NoPosition(c::Empty {}));
        Ok(Response::new(s::TombstoneResp { position_option }))
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

    /// Reads all events from a position on. As on a real server, a position inside of the log at which no
    /// event begins is refused, unless a scavenge has removed events; and after the end there is nothing.
    fn read_all(
        &self,
        asked: &s::read_req::options::AllOptions,
        count: u64,
    ) -> Result<Response<Answers<s::ReadResp>>, Status> {
        use s::read_req::options::all_options::AllOption;
        let from = match &asked.all_option {
            Some(AllOption::Position(position)) => position.commit_position,
            Some(AllOption::End(_)) => u64::MAX,
            Some(AllOption::Start(_)) | None => 0,
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX);
        let events = self.database.after(from.checked_sub(1), count);
        if from > 0 && self.database.is_invalid(from) {
            return Err(Status::unknown("Unexpected ReadAllResult: InvalidPosition"));
        }
        let told: Vec<_> = events.iter().map(|event| Ok(appeared(event))).collect();
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
        if let Some(after) = after.filter(|after| self.database.is_invalid(*after)) {
            let invalid = format!("{after}: Trying to read from an invalid position.");
            return stream::iter([Err(Status::unknown(invalid))]).boxed();
        }
        tokio::spawn(deliver(self.database.clone(), self.faults.clone(), after, filter, told));
        ReceiverStream::new(answers).boxed()
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
                state: state.into(),
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
