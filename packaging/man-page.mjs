// Makes the man page from flux-agent.1.in and the command's own options.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { filled } from './template.mjs'

/** Answers roff. The date is in seconds since the epoch. */
export function manPage(program, version, seconds) {
  const help = program.createHelp()
  const commands = help.visibleCommands(program)
  const fields = {
    DATE: new Date(seconds * 1000).toISOString().slice(0, 10),
    VERSION: roff(version),
    SYNOPSIS: commands.map((command) => `.B flux\\-agent ${command.name()}\n${terms(command.usage())}`).join('\n.br\n'),
    DESCRIPTION: roff(program.description()),
    COMMANDS: commands.map((command) => section(help, command)).join('\n'),
    GROUPS: groups(help, commands),
  }
  return filled(readFileSync(join(import.meta.dirname, 'flux-agent.1.in'), 'utf8'), fields)
}

function section(help, command) {
  const options = help.visibleOptions(command)
  const headings = new Set(options.map((option) => option.helpGroupHeading).filter(Boolean))
  return [
    `.SS flux\\-agent ${command.name()} ${terms(command.usage())}`,
    roff(command.description()),
    ...help.visibleArguments(command).map((argument) => entry(`<${argument.name()}>`, argument.description)),
    ...options.filter((option) => !option.helpGroupHeading).map((option) => entry(option.flags, option.description)),
    ...[...headings].map((heading) => `.PP\nThe options of ${title(heading)} below belong here, too.`),
    ...textAfterHelp(command),
  ].join('\n')
}

/** Options shared by several commands are described once, under their own heading. */
function groups(help, commands) {
  const byHeading = new Map()
  for (const option of commands.flatMap((command) => help.visibleOptions(command))) {
    const heading = option.helpGroupHeading
    if (!heading) continue
    const entries = byHeading.get(heading) ?? new Set()
    byHeading.set(heading, entries.add(entry(option.flags, option.description)))
  }
  return [...byHeading].map(([heading, entries]) => [`.SH ${title(heading)}`, ...entries].join('\n')).join('\n')
}

function title(heading) {
  return roff(heading.replace(/:$/, '').toUpperCase())
}

/** What a command adds to its help, such as examples. */
function textAfterHelp(command) {
  let printed = ''
  command.configureOutput({ writeOut: (chunk) => (printed += chunk) }).outputHelp()
  const after = printed.slice(command.helpInformation().length).trim()
  return after === '' ? [] : ['.PP', '.nf', ...after.split('\n').map(roff), '.fi']
}

function entry(term, description) {
  return `.TP\n${terms(term)}\n${roff(description)}`
}

/** Options in bold, placeholders in italics. */
function terms(usage) {
  return roff(usage)
    .replace(/(^|[ [|])(\\-[\w\\-]+)/g, '$1\\fB$2\\fR')
    .replace(/<([^>]+)>/g, '\\fI$1\\fR')
}

/** Escapes text for roff: no requests, and plain hyphens. */
function roff(text) {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/, '\\&')
    .replace(
      /[^\n -~]/gu,
      (character) => `\\[u${character.codePointAt(0).toString(16).toUpperCase().padStart(4, '0')}]`,
    )
}
