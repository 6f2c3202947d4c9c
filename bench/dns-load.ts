/**
 * Asks a DNS over UDP from a process of its own; prints one line of JSON. Arguments: address, port, questions in all,
 * how many each second (0: as fast as answers come), file of names, one on each line.
 */
import { createSocket } from 'node:dgram'
import { readFileSync } from 'node:fs'
import { encode } from 'dns-packet'
import { must } from '../src/base/assert.ts'

const [address = '', port = '', total = '', rate = '', names = ''] = process.argv.slice(2)
const QUESTIONS = Number(total)
const RATE = Number(rate)
/** Without a rate. */
const IN_FLIGHT = 64
const TICK_MS = 1
const GIVE_UP_MS = 5_000

const queries = readFileSync(names, 'utf8')
  .trim()
  .split('\n')
  .map(name => encode({ type: 'query', flags: 256, questions: [{ type: 'A', name }] }))
const socket = createSocket('udp4')
const sentMs = new Float64Array(65_536)
const times: number[] = []
let sent = 0
let wrong = 0
let begunMs = 0

function send(): void {
  const query = must(queries[sent % queries.length], 'a query')
  const id = sent++ & 0xffff
  query.writeUInt16BE(id, 0)
  sentMs[id] = performance.now()
  // A copy, because the socket takes it later.
  socket.send(Buffer.from(query))
}

function finish(): void {
  times.sort((a, b) => a - b)
  const at = (share: number) => times[Math.min(times.length - 1, Math.floor(times.length * share))]
  const seconds = (performance.now() - begunMs) / 1_000
  const line = {
    answers: times.length,
    lost: sent - times.length,
    wrong,
    seconds,
    p50: at(0.5),
    p99: at(0.99),
  }
  process.stdout.write(`${JSON.stringify(line)}\n`, () => process.exit(0))
}

socket.on('message', answer => {
  const id = answer.readUInt16BE(0)
  times.push(performance.now() - must(sentMs[id], 'a time'))
  // No error, and at least one answer.
  if ((answer.readUInt16BE(2) & 15) !== 0 || answer.readUInt16BE(6) === 0) wrong++
  if (times.length === QUESTIONS) finish()
  else if (RATE === 0 && sent < QUESTIONS) send()
})

socket.connect(Number(port), address, () => {
  socket.setRecvBufferSize(1024 * 1024)
  begunMs = performance.now()
  if (RATE === 0) for (let count = 0; count < IN_FLIGHT; count++) send()
  else {
    const timer = setInterval(() => {
      const due = Math.min(QUESTIONS, Math.floor(((performance.now() - begunMs) * RATE) / 1_000))
      while (sent < due) send()
      if (sent === QUESTIONS) clearInterval(timer)
    }, TICK_MS)
  }
  setTimeout(finish, (RATE === 0 ? 60 : QUESTIONS / RATE) * 1_000 + GIVE_UP_MS)
})
