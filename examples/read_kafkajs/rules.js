// The rule that says which records of a stream count (docs/wire-format.md). No Kafka in here.

const DEFAULTS = {
  track: '', disc: 0, msn: 0, part: 0, chunk: 0, piece: 0, pieces: 1,
  dts: 0, dur: 0, ind: false, ends: '', wall: 0,
}
const NUMBERS = Object.keys(DEFAULTS).filter((name) => typeof DEFAULTS[name] === 'number')
const OPEN_FIELDS = ['session', 'publisher', 'software', 'target_ms', 'part_ms', 'tracks']
const TRACK_FIELDS = ['name', 'kind', 'codec', 'timescale', 'init']
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/
const MAX_PIECES = 128

/** A JSON object from its bytes; null where it is none. */
export function parse(bytes) {
  try {
    const value = JSON.parse(bytes?.toString())
    return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : null
  } catch {
    return null
  }
}

/** The `kinolog` header with its defaults; null where there is none that we understand.
 * Numbers over 2^53 (the dts of a track of more than some MHz) lose their last digits here. */
export function readHeader(bytes) {
  const found = parse(bytes)
  if (found?.v !== 1 || !Number.isInteger(found.epoch) || !found.kind) return null
  return { ...DEFAULTS, ...found }
}

function readOpen(bytes) {
  const open = parse(bytes)
  if (!open || !Array.isArray(open.tracks)) return null
  const whole = (object, fields) => fields.every((field) => object?.[field] !== undefined)
  const readable = (track) =>
    whole(track, TRACK_FIELDS) && BASE64.test(track.init) && track.timescale >= 1
  const positive = open.target_ms >= 1 && open.part_ms >= 1
  return whole(open, OPEN_FIELDS) && positive && open.tracks.every(readable) ? open : null
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
    if (kind === 'end' || (kind === 'close' && (!value?.length || parse(value)))) {
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
    const sensible = NUMBERS.every((field) => Number.isInteger(header[field]) && header[field] >= 0)
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
