// Reading a range of one partition with kafkajs, which knows consumer groups only.

import { randomUUID } from 'node:crypto'
import { zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import kafkajs from 'kafkajs'

const { CompressionCodecs, CompressionTypes, Kafka, logLevel } = kafkajs

// kafkajs has no zstd, which the registry's topic is compressed with; Node has it since 22.15.
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async (encoder) => zstdCompressSync(encoder.buffer),
  decompress: async (buffer) => zstdDecompressSync(buffer),
})

export function connect(brokers) {
  return new Kafka({ clientId: 'read-kafkajs', brokers, logLevel: logLevel.ERROR })
}

/** Calls take(record) for each record of a partition from `start`, or the oldest kept, to its end
 * or for ever. Each call has a group of its own, which is deleted at the end. */
export async function read(kafka, topic, partition, start, follow, take) {
  const admin = kafka.admin()
  await admin.connect()
  const partitions = await admin.fetchTopicOffsets(topic)
  const { low, high } = partitions.find((one) => one.partition === partition)
  let next = start > Number(low) ? start : Number(low)
  if (!follow && next >= Number(high)) return admin.disconnect()

  const groupId = `read-kafkajs-${randomUUID()}`
  const consumer = kafka.consumer({ groupId, maxBytesPerPartition: 4 << 20, maxWaitTimeInMs: 200 })
  await new Promise((resolve, reject) => {
    consumer.on(consumer.events.CRASH, ({ payload }) => reject(payload.error))
    // Told for batches of nothing but transaction markers, too: the registry ends with one.
    consumer.on(consumer.events.END_BATCH_PROCESS, ({ payload }) => {
      const ours = payload.topic === topic && payload.partition === partition
      if (ours && !follow && Number(payload.lastOffset) + 1 >= Number(high)) resolve()
    })
    run(consumer, topic, partition, next, partitions, (record) => {
      if (record.offset < next) return // fetched before the seek below
      next = record.offset + 1
      take(record)
    }).catch(reject)
  })
  await consumer.disconnect()
  await admin.deleteGroups([groupId])
  await admin.disconnect()
}

async function run(consumer, topic, partition, start, partitions, take) {
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await consumer.run({
    autoCommit: false,
    eachBatch: async ({ batch, heartbeat }) => {
      if (batch.partition !== partition) return
      for (const message of batch.messages) take({ ...message, offset: Number(message.offset) })
      await heartbeat()
    },
  })
  consumer.seek({ topic, partition, offset: String(start) })
  const others = partitions.map((one) => one.partition).filter((one) => one !== partition)
  consumer.pause([{ topic, partitions: others }])
}
