// Performs the script with node's pg: JSON on standard input, a line of JSON for each operation on standard output.
'use strict'

const { createHash } = require('crypto')
const { once } = require('events')
const { readFileSync } = require('fs')
const { Readable, Writable } = require('stream')
const { pipeline: connect } = require('stream/promises')

const { Client, Query } = require('pg')
const Cursor = require('pg-cursor')
const { from: copyFrom, to: copyTo } = require('pg-copy-streams')

const PIECE_BYTES = 1000
const MILLISECONDS_MAX = 20_000
const FIELDS = [
  'severity', 'code', 'message', 'detail', 'hint', 'position', 'internalPosition', 'internalQuery', 'where', 'schema',
  'table', 'column', 'dataType', 'constraint', 'file', 'line', 'routine',
]
const KINDS = { bytes: (hex) => Buffer.from(hex, 'hex') }
// Cells as on the wire: nothing is lost that a parser would not show.
const RAW = { getTypeParser: () => (cell) => cell }

const md5 = (data) => createHash('md5').update(data).digest('hex')
const values = (parameters) => parameters.map(([kind, value]) => (value !== null && KINDS[kind] ? KINDS[kind](value) : value))
const fields = (said) => Object.fromEntries(FIELDS.filter((name) => said[name] !== undefined).map((name) => [name, said[name]]))
// Where a cell is binary, what is no ASCII shows as one letter a byte.
const shown = (cell) => (Buffer.isBuffer(cell) ? cell.toString('latin1') : cell)

function table(rows, digest) {
  const cells = rows.map((row) => row.map(shown))
  return digest ? { rows: cells.length, hash: md5(JSON.stringify(cells)) } : { rows: cells }
}

function told(results, digest) {
  return [results].flat().map((result) => ({
    tag: result.command,
    count: result.rowCount,
    columns: result.fields.map((field) => [field.name, field.dataTypeID, field.dataTypeModifier, field.dataTypeSize, field.format]),
    ...table(result.rows, digest),
  }))
}

class Session {
  constructor(door, options, pipeline = false) {
    this.door = door
    this.options = options
    this.notices = []
    this.heard = []
    this.reported = {}
    this.binary = Boolean(options.binary)
    this.ended = ''
    this.client = new Client({
      host: door.host,
      port: door.port,
      user: door.user,
      password: door.password,
      database: door.database,
      ssl: { ca: readFileSync(door.ca) },
      application_name: 'matrix',
      types: RAW,
      pipeline,
    })
    this.client.on('notice', (notice) => this.notices.push(fields(notice)))
    this.client.on('notification', (note) => this.heard.push([note.channel, note.payload]))
    this.client.on('error', (why) => (this.ended = why.message))
    this.client.connection.on('parameterStatus', (said) => (this.reported[said.parameterName] = said.parameterValue))
  }

  start(op) {
    this.running = this.outcome(op)
  }

  async outcome(op) {
    const out = {}
    try {
      await this[op.do](op, out)
    } catch (why) {
      out.error = { class: why.constructor.name, ...fields(why) }
    }
    out.notices = this.notices.splice(0)
    return out
  }

  async query(config) {
    // A query object of its own, since only that one can be cancelled.
    this.query_ = new Query({ rowMode: 'array', types: RAW, ...config })
    const done = new Promise((resolve, reject) => (this.query_.callback = (why, result) => (why ? reject(why) : resolve(result))))
    this.client.query(this.query_)
    return done
  }

  config(op) {
    return { text: op.sql, values: values(op.with), name: op.keep || undefined, binary: this.binary, queryMode: 'extended' }
  }

  async run(op, out) {
    out.results = told(await this.query({ text: op.sql }), op.digest)
  }

  async ask(op, out) {
    out.results = told(await this.query(this.config(op)), op.digest)
  }

  async many(op, out) {
    out.results = []
    for (const row of op.rows) out.results.push(...told(await this.query(this.config({ ...op, with: row, keep: op.sql.slice(0, 20) }))))
  }

  async pipeline(op, out) {
    const other = new Session(this.door, this.options, true)
    await other.client.connect()
    const all = await Promise.allSettled(op.asks.map((each) => other.query(other.config(each))))
    out.results = all.map((one) => (one.status === 'fulfilled' ? told(one.value) : fields(one.reason)))
    await other.client.end()
  }

  async cursor(op, out) {
    const cursor = this.client.query(new Cursor(op.sql, [], { rowMode: 'array', types: RAW }))
    const rows = []
    for (;;) {
      const read = await cursor.read(op.by)
      rows.push(...read)
      if (read.length === 0 || (op.take && rows.length >= op.take)) break
    }
    await cursor.close()
    out.results = [table(rows, op.digest)]
  }

  async copy_in(op, out) {
    const data = Buffer.from(op.data, 'base64')
    const pieces = function* () {
      for (let start = 0; start < data.length; start += PIECE_BYTES) yield data.subarray(start, start + PIECE_BYTES)
      if (op.abandon) throw new Error('abandoned')
    }
    const copy = this.client.query(copyFrom(op.sql))
    await connect(Readable.from(pieces()), copy)
    out.count = copy.rowCount
  }

  async copy_out(op, out) {
    const blocks = []
    const sink = new Writable({ write: (block, _, done) => (blocks.push(block), done()) })
    try {
      const copy = this.client.query(copyTo(op.sql))
      await connect(copy, sink)
      out.count = copy.rowCount
    } finally {
      const data = Buffer.concat(blocks)
      Object.assign(out, { bytes: data.length, hash: md5(data), starts: data.subarray(0, 200).toString('latin1') })
    }
  }

  begin(op, out) {
    return this.run(op, out)
  }

  commit(op, out) {
    return this.run(op, out)
  }

  rollback(op, out) {
    return this.run(op, out)
  }

  listen(op, out) {
    return this.run(op, out)
  }

  async hear(op, out) {
    const limit = AbortSignal.timeout(MILLISECONDS_MAX)
    while (this.heard.length < op.count) await once(this.client, 'notification', { signal: limit })
    out.heard = this.heard.splice(0).sort()
  }

  async status(op, out) {
    out.reported = Object.fromEntries(op.names.map((name) => [name, this.reported[name]]))
  }

  cancel() {
    const other = new Session(this.door, this.options)
    other.client.cancel(this.client, this.query_)
    return new Promise((resolve) => other.client.connection.stream.on('close', resolve))
  }
}

async function perform(run, options) {
  const sessions = {}
  const close = async () => {
    for (const name of Object.keys(sessions)) {
      await sessions[name].client.end()
      delete sessions[name]
    }
  }
  for (const step of run.steps) {
    for (const [number, op] of step.ops.entries()) {
      const name = op.on || 'a'
      if (!sessions[name]) {
        sessions[name] = new Session(run.door, options)
        await sessions[name].client.connect()
      }
      const on = sessions[name]
      let outcome = {}
      if (op.do === 'cancel') await on.cancel()
      else {
        if (op.do !== 'join') on.start(op)
        if (op.wait !== false) outcome = await on.running
      }
      console.log(JSON.stringify({ run: run.name, step: step.name, op: number, ...outcome }))
    }
    if (step.fresh) await close()
  }
  await close()
}

async function main() {
  const task = JSON.parse(readFileSync(0))
  for (const run of task.runs) await perform(run, task.options)
}

main()
