// Two RTCPeerConnections of one page that may talk through the relay only. Each function of `calls` resolves to what the
// case then judges, and rejects when a connection fails.
"use strict";

function event(target, name, wanted = () => true) {
  return new Promise(resolve => {
    target.addEventListener(name, function heard(e) {
      if (wanted(e)) {
        target.removeEventListener(name, heard);
        resolve(e);
      }
    });
  });
}

class Ends {
  constructor(iceServer) {
    this.candidates = [];
    this.errors = [];
    this.all = [0, 1].map(() => new RTCPeerConnection({ iceServers: [iceServer], iceTransportPolicy: "relay" }));
    this.failed = new Promise((_, reject) => {
      for (const [side, end] of this.all.entries()) {
        end.addEventListener("icecandidate", ({ candidate }) => this.trickle(1 - side, candidate).catch(reject));
        end.addEventListener("icecandidateerror", e => this.errors.push(`${e.errorCode} ${e.errorText} ${e.url}`));
        const fail = what => reject(new Error(`end ${side} ${what}; candidates ${this.candidates}; errors ${this.errors}`));
        end.addEventListener("connectionstatechange", () => end.connectionState === "failed" && fail("cannot connect"));
        end.addEventListener("icegatheringstatechange", () => {
          if (end.iceGatheringState === "complete" && !end.localDescription.sdp.includes(" typ relay"))
            fail("has no candidate");
        });
      }
    });
  }

  async trickle(to, candidate) {
    if (!candidate?.candidate)
      return;
    this.candidates.push(candidate.candidate);
    await this.all[to].addIceCandidate(candidate);
  }

  // Each description is set at the far end first, so that no candidate arrives before it.
  async connect() {
    const [caller, callee] = this.all;
    const offer = await caller.createOffer();
    await callee.setRemoteDescription(offer);
    await caller.setLocalDescription(offer);
    const answer = await callee.createAnswer();
    await caller.setRemoteDescription(answer);
    await callee.setLocalDescription(answer);
  }

  async result(more) {
    const pairs = await Promise.all(this.all.map(async end => selectedPair(await stats(end))));
    return { pairs, candidates: this.candidates, errors: this.errors, ...more };
  }

  close() {
    this.all.forEach(end => end.close());
  }
}

async function stats(end) {
  return [...(await end.getStats()).values()];
}

function selectedPair(reports) {
  const byId = Object.fromEntries(reports.map(report => [report.id, report]));
  const transport = reports.find(report => report.type === "transport" && report.selectedCandidatePairId);
  const pair = transport ? byId[transport.selectedCandidatePairId]
    : reports.find(report => report.type === "candidate-pair" && report.selected);
  const [local, remote] = [byId[pair?.localCandidateId], byId[pair?.remoteCandidateId]];
  return { local: local?.candidateType, remote: remote?.candidateType, protocol: local?.relayProtocol };
}

function message(number, size) {
  const bytes = crypto.getRandomValues(new Uint8Array(size));
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function same(a, b) {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}

// Both before the ends connect; what is returned is done once they have.
function echoing(ends) {
  const [caller, callee] = ends.all;
  const channel = caller.createDataChannel("echo");
  channel.binaryType = "arraybuffer";
  callee.addEventListener("datachannel", ({ channel: far }) => {
    far.binaryType = "arraybuffer";
    far.addEventListener("message", e => far.send(e.data));
  });
  const opened = event(channel, "open");
  // `count` messages go out at once, and each must come back as it was, in order.
  return async (count, size) => {
    await opened;
    const sent = Array.from({ length: count }, (_, number) => message(number, size));
    let echoed = 0, different = 0;
    const complete = event(channel, "message", e => {
      different += !same(sent[echoed++], new Uint8Array(e.data));
      return echoed === count;
    });
    sent.forEach(bytes => channel.send(bytes));
    await complete;
    return { echoed, different };
  };
}

async function filming(ends, wanted) {
  const camera = await navigator.mediaDevices.getUserMedia(wanted);
  const playing = ends.all.map(async end => {
    camera.getTracks().forEach(track => end.addTrack(track, camera));
    const { track } = await event(end, "track", e => e.track.kind === "video");
    const screen = document.body.appendChild(document.createElement("video"));
    Object.assign(screen, { muted: true, srcObject: new MediaStream([track]) });
    await Promise.all([event(screen, "loadeddata"), screen.play()]);
  });
  // The clock starts when both have decoded a frame.
  return async seconds => {
    await Promise.all(playing);
    await new Promise(resolve => setTimeout(resolve, seconds * 1000));
    const inbound = await Promise.all(ends.all.map(async end => {
      const [report] = (await stats(end)).filter(r => r.type === "inbound-rtp" && r.kind === "video");
      return { lost: report.packetsLost, packets: report.packetsReceived, decoded: report.framesDecoded };
    }));
    camera.getTracks().forEach(track => track.stop());
    return { inbound };
  };
}

const calls = {
  async data(ends, { count, size }) {
    const echo = echoing(ends);
    await ends.connect();
    return ends.result(await echo(count, size));
  },

  // Both ends send the camera.
  async video(ends, { seconds }) {
    const film = await filming(ends, { video: true });
    await ends.connect();
    return ends.result(await film(seconds));
  },

  // Camera and microphone of both ends, and messages beside them.
  async everything(ends, { seconds, count, size }) {
    const echo = echoing(ends), film = await filming(ends, { video: true, audio: true });
    await ends.connect();
    const [echoes, media] = await Promise.all([echo(count, size), film(seconds)]);
    return ends.result({ ...echoes, ...media });
  },
};

async function call(name, iceServer, options) {
  const ends = new Ends(iceServer);
  try {
    return await Promise.race([calls[name](ends, options), ends.failed]);
  } finally {
    ends.close();
  }
}
