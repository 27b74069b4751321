// The rule that says which records of a stream count (docs/wire-format.md). No Kafka in here.

const DEFAULTS = {
  track: '', disc: 0, msn: 0, part: 0, chunk: 0, piece: 0, pieces: 1,
  dts: 0, dur: 0, ind: false, ends: '', wall: 0,
}
const NUMBERS = Object.keys(DEFAULTS).filter((name) => typeof DEFAULTS[name] === 'number')
const KINDS = ['open', 'chunk', 'close', 'gap', 'end', 'fence']

// Shapes: a field that is here must be there, and each be of its example's type.
const HEADER = { v: 1, kind: '', epoch: 0 }
const OPEN = { session: '', publisher: '', software: '', target_ms: 1, part_ms: 1, tracks: [] }
const OPEN_DEFAULTS = { parts: true, profile: 'low', end_grace_ms: 60_000 }
const TRACK = { name: '', kind: '', codec: '', timescale: 1, init: '' }
const TRACK_DEFAULTS = {
  width: 0, height: 0, frame_rate: 0.5, sample_rate: 0, channels: 0, language: 'und',
  silence: false,
}
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const MAX_PIECES = 128
const MAX_WALL_MS = 253_402_300_799_999 // the year 9999 ends

/** A JSON object from its bytes; null where it is none. */
export function parse(bytes) {
  try {
    const value = JSON.parse(bytes?.toString())
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/** An object with the defaults of what it leaves out; null where a field is missing or of another
 * type. */
function shaped(found, required, defaults) {
  const whole = { ...defaults, ...found }
  const alike = ([name, example]) =>
    typeof whole[name] === typeof example &&
    Array.isArray(whole[name]) === Array.isArray(example) &&
    (!Number.isInteger(example) || Number.isInteger(whole[name]))
  return found && Object.entries({ ...defaults, ...required }).every(alike) ? whole : null
}

/** The `kinolog` header with its defaults; null where there is none that we understand.
 * Numbers over 2^53 (the dts of a track of more than some MHz) lose their last digits here. */
export function readHeader(bytes) {
  const header = shaped(parse(bytes), HEADER, DEFAULTS)
  const known = KINDS.includes(header?.kind) && ['', 'part', 'segment'].includes(header.ends)
  return known && header.v === 1 ? header : null
}

function readOpen(bytes) {
  const open = shaped(parse(bytes), OPEN, OPEN_DEFAULTS)
  const readable = (found) => {
    const track = shaped(found, TRACK, TRACK_DEFAULTS)
    const known = track && ['video', 'audio'].includes(track.kind)
    return known && BASE64.test(track.init) && track.timescale >= 1
  }
  const known = open && ['frame', 'low', 'standard'].includes(open.profile)
  const positive = open?.target_ms >= 1 && open.part_ms >= 1
  return known && positive && open.tracks.every(readable) ? open : null
}

/** Takes a stream's records in log order. `feed` gives what they mean: an array of events. */
export class Stream {
  epoch = -1
  #closed = false
  #ended = false
  #fenced = false
  #tracks = new Map()

  /** A valid open record; or, not synced, a session to begin from in its middle. */
  open(epoch, value, synced = true) {
    this.epoch = epoch
    this.#closed = this.#ended = this.#fenced = false
    // synced: false until a segment begins, where we started in the middle.
    const track = () => ({ synced, msn: -1, next: 0, ended: true, holed: false, pieces: [] })
    this.#tracks = new Map(value.tracks.map(({ name }) => [name, track()]))
    return { event: 'open', epoch, open: value }
  }

  feed(header, value) {
    const { kind, epoch } = header
    if (kind === 'open') {
      const open = epoch > this.epoch ? readOpen(value) : null
      return open ? [this.open(epoch, open)] : [] // any other is void
    }
    if (kind === 'fence') {
      this.#fenced ||= epoch > this.epoch // the stream has moved away from here
      return []
    }
    // A zombie, the writer of a void open, or after the close.
    if (epoch !== this.epoch || this.#fenced) return []
    if (this.#closed && (kind !== 'end' || this.#ended)) return []
    if (kind === 'chunk') return this.#chunk(header, value)
    const readable = !value?.length || shaped(parse(value), {}, { reason: '' })
    if (kind === 'end' || (kind === 'close' && readable)) {
      const halves = [...this.#tracks].filter(([, track]) => track.pieces.length)
      const holes = halves.flatMap(([name, track]) => this.#hole(name, track))
      this.#closed = true
      this.#ended = kind === 'end'
      return [...holes, { event: kind, epoch }]
    }
    return []
  }

  /** (msn, chunk, piece) of a track only goes up; what is left out is a hole. */
  #chunk(header, value) {
    const { track: name, msn, chunk, piece, pieces } = header
    const track = this.#tracks.get(name)
    const sensible = NUMBERS.every((field) => header[field] >= 0) && header.wall <= MAX_WALL_MS
    if (!track || !sensible || piece >= pieces || pieces > MAX_PIECES) return []
    if (!track.synced && (chunk || piece)) return [] // a segment whose beginning we do not have
    track.synced = true
    const events = []
    if (msn > track.msn) {
      if (track.pieces.length) events.push(...this.#hole(name, track))
      Object.assign(track, { msn, next: 0, ended: false, holed: false })
    } else if (msn < track.msn || chunk < track.next || track.ended) {
      return [] // a repeat, or of a segment that has ended
    }
    if (chunk > track.next) {
      events.push(...this.#hole(name, track))
      track.next = chunk
    }
    if (piece < track.pieces.length) return events // a repeat
    if (piece > track.pieces.length) {
      events.push(...this.#hole(name, track)) // a piece is missing: the chunk is lost
    } else {
      track.pieces.push(value)
      if (piece + 1 < pieces) return events
      events.push({ event: 'chunk', header, data: Buffer.concat(track.pieces) })
      track.pieces = []
    }
    track.next = chunk + 1
    track.ended = header.ends === 'segment'
    return events
  }

  /** Something of the segment is missing; told once. */
  #hole(name, track) {
    track.pieces = []
    if (track.holed) return []
    track.holed = true
    return [{ event: 'hole', epoch: this.epoch, track: name, msn: track.msn }]
  }
}
