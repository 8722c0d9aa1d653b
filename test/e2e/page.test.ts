import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { eventually } from '../../harness/eventually.js'
import { buildZip, PROGRAM } from '../../harness/zip.js'
import { Browser, noChromium, REBOUND } from '../support/chromium.js'
import { describeAgent } from '../support/describe-agent.js'
import { METRICS_ON, metricsUrl } from '../support/metrics.js'

/** As an agent may be called, and an execution, and as what an error quotes. */
const HOSTILE = `<img/src=x/onerror="window.hurt=1">'"&</script><script>window.hurt=1</script>`

describeAgent(
  'the page of an agent',
  { config: { ...METRICS_ON, agent_id: HOSTILE, drain_seconds: 0 }, skip: noChromium },
  ({ agent, calls }) => {
    let browser: Browser
    before(async () => {
      await calls.script('sleeps', 'exec sleep 300')
      await calls.script('fails', 'exit 3')
      await calls.execute({ function_name: 'fails' })
      // An interpreter that is not there is quoted in the error.
      const broken = buildZip([{ name: 'main', contents: `#!/nowhere/${HOSTILE}\n`, mode: PROGRAM }])
      await calls.deploy('broken', broken, { name: 'broken', handler: 'main' })
      await calls.execute({ function_name: 'broken' })
      await calls.start('sleeps', [], HOSTILE)
      browser = await Browser.start()
    })
    after(() => browser?.stop())

    const text = (selector: string) => browser.value(`document.querySelector(${JSON.stringify(selector)})?.innerText`)
    const shows = (selector: string, expected: string) =>
      eventually(`${selector} shows ${expected}`, async () => String(await text(selector)).includes(expected))

    it('shows what runs and what has failed, whatever it is called, as text', async () => {
      await browser.look({ width: 1100, height: 1200 })
      await browser.open(metricsUrl(agent))
      await shows('#state', 'serving')
      await shows('#name', HOSTILE)
      await shows('#executions', 'sleeps')
      await shows('#executions', HOSTILE)
      await shows('#failures', 'exit code 3')
      await shows('#failures', 'onerror=')
      assert.equal(await browser.value('typeof window.hurt'), 'undefined')
      assert.equal(await browser.value('document.images.length + document.scripts.length'), 1)
      assert.deepEqual(browser.complaints, [])
    })

    it('refreshes itself, and draws what has happened', async () => {
      await calls.execute({ function_name: 'fails' })
      await eventually('two failures of it are there', async () => {
        return /exit code 3[\s\S]*exit code 3/.test(String(await text('#failures')))
      })
      assert.equal(await browser.value('document.querySelectorAll("#charts svg").length'), 4)
      await eventually('a line is drawn', async () => {
        return Number(await browser.value('document.querySelectorAll("#charts polyline").length')) >= 4
      })
    })

    it('is readable at 400 pixels and in the dark', async () => {
      const bright = await browser.value('getComputedStyle(document.body).backgroundColor')
      await browser.look({ width: 400, height: 800, dark: true })
      assert.equal(await browser.value('document.documentElement.scrollWidth'), 400)
      const wide = 'Array.from(document.querySelectorAll("section *")).filter((e) => e.scrollWidth > 400).length'
      assert.equal(await browser.value(wide), 0)
      const [dark, ink] = await Promise.all(
        ['backgroundColor', 'color'].map((of) => browser.value(`getComputedStyle(document.body).${of}`)),
      )
      assert.notEqual(dark, bright)
      assert.ok(brightness(ink) - brightness(dark) > 150, `${ink} on ${dark}`)
    })

    it('runs nothing and loads nothing from elsewhere', async () => {
      const answer = await fetch(metricsUrl(agent))
      assert.match(answer.headers.get('content-security-policy') ?? '', /^default-src 'none'; script-src 'self'; /)
      assert.doesNotMatch(await answer.text(), /https?:| style=| on\w+=/)
      const inline = `const script = document.createElement('script'); script.textContent = 'window.hurt = 1'; document.body.append(script)`
      await browser.value(inline)
      assert.equal(await browser.value('typeof window.hurt'), 'undefined')
    })

    it('is not shown to a page elsewhere that has its own name lead here', async () => {
      const url = new URL(metricsUrl(agent))
      url.hostname = REBOUND
      await browser.open(url.href)
      await shows('body', `"${url.host}" is not a name of this node`)
    })
  },
)

/** 0 to 255, of rgb(…). */
function brightness(color: unknown): number {
  const parts = String(color).match(/\d+/g)?.map(Number) ?? []
  return parts.reduce((sum, part) => sum + part, 0) / 3
}
