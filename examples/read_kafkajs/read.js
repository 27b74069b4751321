#!/usr/bin/env node
// Reads a kinolog stream with kafkajs, by docs/wire-format.md.
//
//   npm ci
//   node read.js demo/camera --list
//   node read.js demo/camera --follow | ffplay -

import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { parseArgs } from 'node:util'
import { connect, read } from './kafka.js'
import { parse, readHeader, Stream } from './rules.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    'bootstrap-servers': { type: 'string', default: '127.0.0.1:9092' },
    prefix: { type: 'string', default: 'kinolog' }, // of the topics' names
    'from-offset': { type: 'string' }, // of the media partition; else the oldest
    follow: { type: 'boolean', default: false }, // go on at the end
    list: { type: 'boolean', default: false }, // a JSON line per event, no media
    track: { type: 'string', default: 'video' },
    output: { type: 'string', default: '-' }, // file; - is standard output
  },
})

/** The newest value of each key of the registry. */
async function readRegistry(kafka) {
  const registry = new Map()
  await read(kafka, `${options.prefix}.registry`, 0, 0, false, ({ key, value }) => {
    if (value?.length) registry.set(key.toString(), parse(value))
    else registry.delete(key.toString())
  })
  return registry
}

/** The newest session that was opened before an offset of a placement, as the registry knows. */
function sessionBefore(registry, stream, { base, partition }, offset) {
  return [...registry]
    .filter(([key]) => key.startsWith(`${stream}/`))
    .map(([, entry]) => entry)
    .filter((e) => e.base === base && e.partition === partition && e.open_offset < offset)
    .sort((a, b) => a.epoch - b.epoch)
    .at(-1)
}

/** What a stream's log holds, from its oldest placement on, or from an offset of the newest. */
async function readStream(kafka, name, take) {
  const registry = await readRegistry(kafka)
  const entry = registry.get(name)
  if (!entry) throw new Error(`the registry ${options.prefix}.registry has no stream ${name}`)
  const stream = new Stream()
  const key = name.split('/')[1]
  const from = options['from-offset']
  const places = entry.placements
  const same = (a) => (b) => a.base === b.base && a.partition === b.partition
  for (let at = from === undefined ? 0 : places.length - 1; at < places.length; at++) {
    const place = places[at]
    // A place that the stream came back to later: here only what was opened before it went.
    const below = places.slice(at + 1).some(same(place)) ? places[at + 1].from_epoch : Infinity
    const follow = options.follow && at === places.length - 1
    let begun = false
    await read(kafka, `${place.base}.media`, place.partition, Number(from ?? 0), follow, (record) => {
      const session = begun ? null : sessionBefore(registry, name, place, record.offset)
      if (session?.epoch > stream.epoch) take(stream.open(session.epoch, session.open, false))
      begun = true
      if (record.key?.toString() !== key) return
      const header = readHeader([record.headers.kinolog].flat()[0])
      // What is older than the placement is of a stream of this name that was deleted.
      if (!header || header.epoch < (place.from_epoch ?? 0)) return
      if (header.epoch < below || header.kind === 'fence') {
        stream.feed(header, record.value).forEach(take)
      }
    })
  }
}

/** An event as --list prints it. */
function show({ event, header, data, open, ...rest }) {
  if (event !== 'chunk') return { event, ...rest }
  const { epoch, track, msn, part, chunk } = header
  const sha256 = createHash('sha256').update(data).digest('hex')
  return { event, epoch, track, msn, part, chunk, sha256 }
}

/** One track as fragmented MP4, from a sync sample on, and after a hole from the next one on.
 * So at a new session; not where one goes on, amid a group of pictures, after a failed delivery.
 * An epoch with another init segment writes that: MSE takes it, a file's reader may not. */
function movie(name, output) {
  let written = ''
  let session = null
  let waiting = true
  return ({ event, header, data, open, track }) => {
    if (event === 'open') {
      const init = open.tracks.find((one) => one.name === name)?.init ?? written
      if (init !== written) output.write(Buffer.from(init, 'base64'))
      waiting ||= init !== written || open.session !== session
      written = init
      session = open.session
    } else if (event === 'hole' && track === name) {
      waiting = true
    } else if (event === 'chunk' && header.track === name) {
      waiting = waiting && !header.ind
      if (!waiting) output.write(data)
    }
  }
}

const kafka = connect(options['bootstrap-servers'].split(','))
if (options.list) {
  await readStream(kafka, positionals[0], (event) => {
    process.stdout.write(`${JSON.stringify(show(event))}\n`)
  })
} else {
  const output = options.output === '-' ? process.stdout : createWriteStream(options.output)
  await readStream(kafka, positionals[0], movie(options.track, output))
  if (options.output !== '-') output.end()
}
