"""What a page made for version 2 does, in a real browser: its socket, its peer, its own data channel."""

JOIN = """([address, password, name]) => {
    const page = globalThis.page = {heard: [], warnings: [], pending: [], host: '', id: ''};
    const video = page.video = document.createElement('video');
    video.muted = true;
    video.style.cssText = 'position:fixed;inset:0;width:100%;height:100%;z-index:9';
    document.body.append(video);
    const query = new URLSearchParams({password, username: name});
    const socket = page.socket = new WebSocket(`${address.replace('http', 'ws')}ws?${query}`);
    const say = page.say = (event, fields = {}) => socket.send(JSON.stringify({event, ...fields}));
    const answer = async (sdp) => {
        await page.peer.setRemoteDescription({type: 'offer', sdp});
        for (const candidate of page.pending.splice(0)) await page.peer.addIceCandidate(candidate);
        const description = await page.peer.createAnswer();
        description.sdp = description.sdp.replace(/(stereo=1;)?useinbandfec=1/, 'useinbandfec=1;stereo=1');
        await page.peer.setLocalDescription(description);
        say('signal/answer', {sdp: description.sdp, displayname: name});
    };
    const provide = async ({id, sdp, lite, ice}) => {
        page.id = id;
        const peer = page.peer = new RTCPeerConnection(lite ? {} : {iceServers: ice});
        peer.ontrack = ({track, streams}) => {
            if (track.kind === 'video') {
                video.srcObject = streams[0];
                video.play();
            }
        };
        peer.onicecandidate = ({candidate}) => {
            if (candidate) say('signal/candidate', {data: JSON.stringify(candidate.toJSON())});
        };
        peer.onnegotiationneeded = async () => {
            const offer = await peer.createOffer();
            await peer.setLocalDescription(offer);
            say('signal/offer', {sdp: offer.sdp});
        };
        page.channel = peer.createDataChannel('data');
        page.channel.onclose = () => page.warnings.push('the data channel was closed');
        await answer(sdp);
    };
    socket.onmessage = async ({data}) => {
        const {event, ...fields} = JSON.parse(data);
        page.heard.push([event, fields]);
        if (event === 'signal/provide') await provide(fields);
        if (event === 'signal/offer') await answer(fields.sdp);
        if (event === 'signal/answer') await page.peer.setRemoteDescription({...fields, type: 'answer'});
        if (event === 'control/locked') page.host = fields.id;
        if (event === 'signal/candidate') {
            const candidate = JSON.parse(fields.data);
            if (page.peer) await page.peer.addIceCandidate(candidate);
            else page.pending.push(candidate);
        }
    };
    const pack = (length, fill) => {
        const view = new DataView(new ArrayBuffer(length));
        fill(view);
        page.channel.send(view.buffer);
    };
    page.move = (x, y) => pack(7, (view) => {
        view.setUint8(0, 1);
        view.setUint16(1, 4, true);
        view.setUint16(3, x, true);
        view.setUint16(5, y, true);
    });
    page.press = (code) => {
        for (const kind of [3, 4]) {
            pack(11, (view) => {
                view.setUint8(0, kind);
                view.setUint16(1, 8, true);
                view.setBigUint64(3, BigInt(code), true);
            });
        }
    };
    page.speak = () => {
        const context = new AudioContext();
        const ear = context.createMediaStreamDestination();
        const tone = new OscillatorNode(context);
        tone.connect(ear);
        tone.start();
        page.sender = page.peer.addTrack(ear.stream.getAudioTracks()[0], ear.stream);
    };
}"""
"""Joins a room; `page` then has what it heard, and `say`, `move`, `press`, `speak`."""

SPEAKS = """async () => [...(await page.peer.getStats()).values()]
    .some((one) => one.type === 'outbound-rtp' && one.packetsSent > 5)"""
ANSWERED = "n => page.heard.filter(([event]) => event === 'signal/answer').length === n"
"""Whether as many offers of the page's own have been answered."""
