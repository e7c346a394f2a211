"""Answers with drafts, wrappers, tokens, marks and lines around two pairs, in families."""

from __future__ import annotations

import json

Q1, A1, Q2, A2 = "Which bird is there?", "A robin sits there.", "What does it do?", "It lands on the wooden feeder."
P = f"Question: {Q1}\nAnswer: {A1}\n\nQuestion: {Q2}\nAnswer: {A2}"
DRAFT = "Question: What could be asked?\nAnswer: This is only a draft."
CLEAN = [(Q1, A1), (Q2, A2)]
DIRTY: list[tuple[str, str]] = []


def add(family: str, *raws: str) -> None:
    DIRTY.extend((family, raw) for raw in raws)


def pair(a1: str = A1, a2: str = A2, q1: str = Q1, q2: str = Q2) -> str:
    return f"Question: {q1}\nAnswer: {a1}\n\nQuestion: {q2}\nAnswer: {a2}"


add(
    "thinking",
    f"<reflection>\n{DRAFT}\n</reflection>\n{P}",
    f"<|begin_of_thought|>\n{DRAFT}\n<|end_of_thought|>\n<|begin_of_solution|>\n{P}\n<|end_of_solution|>",
    f"<scratchpad>{DRAFT}</scratchpad>\n\n{P}",
    f"《思考》\n{DRAFT}\n《/思考》\n{P}",
    f"{{think}}\n{DRAFT}\n{{/think}}\n{P}",
    f"«réflexion»\n{DRAFT}\n«/réflexion»\n{P}",
    f"<|channel|>analysis<|message|>{DRAFT}<|end|><|start|>assistant<|channel|>final<|message|>{P}",
    f"<seed:think>\n{DRAFT}\n</seed:think>\n{P}",
    f"<ANALYSIS>\n{DRAFT}\n</ANALYSIS>\n\n{P}",
    f"{DRAFT}\n</think>\n\n{P}",
    f"{DRAFT}\n</thought>\n{P}",
    f"<think>\n\n</think>\n\n{P}",
    f'<thinking time="3s">\n{DRAFT}\n</thinking>\n{P}',
    f"[REASONING]\n{DRAFT}\n[/REASONING]\n{P}",
    f"<|START_THINKING|>{DRAFT}<|END_THINKING|><|START_RESPONSE|>{P}<|END_RESPONSE|>",
    f"```thinking\n{DRAFT}\n```\n\n{P}",
    f"<details><summary>Thoughts</summary>\n{DRAFT}\n</details>\n\n{P}",
    f"【思考开始】\n{DRAFT}\n【思考结束】\n{P}",
    f"<think>\n{DRAFT}\n{P}",
    f"<inner_monologue>\n{DRAFT}\n</inner_monologue>\n<output>\n{P}\n</output>",
    f"<thinking>\nFirst.\n</thinking>\n<thinking>\n{DRAFT}\n</thinking>\n{P}",
    f"&lt;think&gt;\n{DRAFT}\n&lt;/think&gt;\n{P}",
    f"<!-- thinking\n{DRAFT}\n-->\n{P}",
    f"<unused94>thought\n{DRAFT}\n<unused95>{P}",
)
add(
    "wrapper",
    f"<response>\n{P}\n</response>",
    f"<result>{P}</result>",
    f"<final_answer>\n{P}\n</final_answer>",
    f"[ANSWER]\n{P}\n[/ANSWER]",
    f"\\boxed{{{P}}}",
    f"```\n{P}\n```",
    f"```markdown\n{P}\n```",
    f'"""\n{P}\n"""',
    f"<output>\n<answer>\n{P}\n</answer>\n</output>",
    f"<|begin_of_box|>{P}<|end_of_box|>",
    f"<qa_pairs>\n{P}\n</qa_pairs>",
    f"{P}\n</answer>",
    f"<answer>\n{P}",
    f"**{P}**",
    f'<pairs count="2">\n{P}\n</pairs>',
    f"~~~text\n{P}\n~~~",
    f'"{P}"',
    f"《答案》\n{P}\n《/答案》",
    f"<div class='qa'>\n{P}\n</div>",
    f"<p>{P}</p>",
)
add(
    "tokens",
    f"{P}<|im_end|>",
    f"{P}</s>",
    f"<s>{P}</s>",
    f"<s> {P}",
    f"{P}<end_of_turn>",
    f"{P}\n<|eot_id|>",
    f"{P}<｜end▁of▁sentence｜>",
    f"<｜begin▁of▁sentence｜>{P}",
    f"{P}<|endoftext|>",
    f"{P} [/INST]",
    f"[INST] <<SYS>> be good <</SYS>> [/INST] {P}",
    f"{P}<eos>",
    f"{P}<pad><pad><pad>",
    f"{P}[SEP]",
    f"[CLS] {P} [SEP]",
    P.replace("\n", "<0x0A>"),
    f"{P}<|im_end|>\n<|im_start|>assistant\n",
    f"<|start_header_id|>assistant<|end_header_id|>\n\n{P}<|eot_id|>",
    pair(a1="A robin sits there.<|im_end|>"),
    pair(a1="A robin sits there.</s>"),
    pair(a1="A <unk> sits there."),
    pair(q2="What does it do?<|endoftext|>"),
    f"{P}<|assistant|>",
    f"<|assistant|>\n{P}",
    f"{P}<|end|>",
    f"{P}\n<start_of_turn>user\n",
    f"{P}\n[EOS]",
    f"{P}\n<|user|>\nWrite more.",
    f"{P}<extra_id_0>",
    f"{P}<|return|>",
)
add(
    "citations",
    pair(a1="A robin sits there[1]."),
    pair(a1="A robin sits there [1][3]."),
    pair(a1="A robin sits there【4:0†source】."),
    pair(a1="A robin sits there〔1†L3-L9〕."),
    pair(a1="A robin sits there[^1^]."),
    pair(a1="A robin sits there.[^2]"),
    pair(a1="A robin sits there (source: www.birds.example)."),
    pair(a1="A robin sits there¹."),
    pair(a1="A robin sits there.²³"),
    pair(a1="A robin sits there<sup>[1]</sup>."),
    pair(a1="A robin sits there<sup>2</sup>."),
    pair(a1="A robin sits there:contentReference[oaicite:0]{index=0}."),
    pair(a1="A robin sits there [citation:3]."),
    pair(a1="A robin sits there [1, 2]."),
    pair(a1="A robin sits there [source: caption 1]."),
    pair(a1="A robin sits there [1](https://birds.example/robin)."),
    pair(a1="A robin sits there \ue200cite\ue202turn0search1\ue201."),
    pair(a1="A robin sits there[[1]](https://birds.example)."),
    pair(a1="A robin sits there [1-3]."),
    pair(a1="A robin sits there <cite>caption 1</cite>."),
    pair(a1="A robin sits there ([birds.example](https://birds.example/?utm_source=openai))."),
    pair(a1="A robin sits there.[1]", a2="It lands on the wooden feeder.[2]"),
    f"{pair(a1='A robin sits there[1].')}\n\nReferences:\n[1] https://birds.example",
    f"{pair(a1='A robin sits there[1].')}\n\n[1]: https://birds.example/robin",
    pair(a1="A robin sits there [Source 2]."),
    pair(a1="A robin sits there【1】."),
    pair(a1="A robin sits there [ref_1]."),
    pair(a1="A robin sits there <ref>1</ref>."),
    pair(q1="Which bird is there[1]?"),
    pair(a1="A robin[1] sits there."),
    pair(a1="A robin sits there 【source】."),
    pair(a1="A robin sits there ^[1]^."),
    pair(a1="A robin sits there [doc1]."),
    pair(a1="A robin sits there [web:1]."),
    pair(a1="A robin sits there{{cite:1}}."),
    pair(a1="A robin sits there [^source]."),
)
add(
    "trailing",
    f"{P}\n\nI hope this helps!",
    f"{P}\n\nLet me know if you need more pairs.",
    f"{P}\n\nExplanation: The pairs are based on the caption.",
    f"{P}\n\n(Total: 2 pairs)",
    f"{P}\n\n---",
    f"{P}\n\nEND",
    f"{P}\n\n<END_OF_PAIRS>",
    f"{P}\n\nWord count: 24",
    f"{P}\n\n(24 words)",
    f"{P}\n\n***\n\n**Note:** The answers follow the caption.",
    f"{P}\n\nNote: These question-answer pairs are based only on the provided captions.",
    f"{P}\n\n###",
    f"{P}\n\n### End of output",
    f"{P}\n\n[END OF RESPONSE]",
    f"{P}\n\nThese pairs cover the main content of the image.",
    f"{P}\n\nWould you like me to generate more questions?",
    f"{P}\n\nFeel free to ask for more!",
    f"{P}\n\nQA_pairs_from_dense_captions",
    f"{P}\n\n-- End --",
    f"{P}\n\n== END ==",
    f"{P}\n\nDone.",
    f"{P}\n\nTotal pairs: 2",
    f"{P}\n\n*These questions were written from the annotation.*",
    f"{P}\n\n___\n_Generated from the caption._",
    f"{P}\n\n> Note: based on the caption.",
    f"{P}\nEND",
    f"{P}\n\n(Note: I have not used the bounding boxes.)",
    f"{P}\n\n[2 pairs generated]",
    f"{P}\n\n--- End of pairs ---",
    f"{P}\n\n<done>",
    f"{P}\n\n~END~",
    f"{P}\n\nPlease let me know if you'd like any changes.",
    f"{P}\n\nQuestions: 2",
    f"{P}\n\nJ'espère que cela vous aide !",
    f"{P}\n\n以上就是根据图片生成的问答对。",
    f"{P}\n\nHope that helps! 😊",
    f"{P}<br>",
    f"{P}\n\nDISCLAIMER: generated by AI.",
    f"{P}\n\n____________",
    f"{P}\n\n[/END]",
    f"{P}\n\n(End of answer)",
    f"{P}\n\nThe above pairs are designed to test visual understanding.",
    f"{P}\n\nConfidence: 0.9",
    f"{P}\n\nCategory: animals",
    f"{P}\n\nSources:\n- caption 1\n- caption 2",
)
add(
    "leading",
    f"Sure, here are two pairs:\n\n{P}",
    f"### Response:\n{P}",
    f"Certainly! Below are the question-answer pairs.\n\n{P}",
    f"# Question-Answer Pairs\n\n{P}",
    f"**QA pairs**\n\n{P}",
    f"Assistant: {P}",
    f"assistant\n{P}",
    f"Output:\n{P}",
    f"---\n{P}",
    f"Here you go:\n```\n{P}\n```",
    f"Okay, the user wants pairs about a bird. I will write two.\n\n{P}",
    f"Image description: a robin.\n\n{P}",
    f"ASSISTANT:\n\n{P}",
    f"BEGIN\n{P}\nEND",
    f"<START>\n{P}",
)
add(
    "between",
    f"Pair 1 of 2\nQuestion: {Q1}\nAnswer: {A1}\n\nPair 2 of 2\nQuestion: {Q2}\nAnswer: {A2}",
    f"1. Question: {Q1}\n   Answer: {A1}\n2. Question: {Q2}\n   Answer: {A2}",
    f"**Question:** {Q1}\n**Answer:** {A1}\n\n**Question:** {Q2}\n**Answer:** {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n___\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n=====\nQuestion: {Q2}\nAnswer: {A2}",
    f"### Pair 1\n\nQuestion: {Q1}\nAnswer: {A1}\n\n### Pair 2\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"[Pair 1]\nQuestion: {Q1}\nAnswer: {A1}\n\n[Pair 2]\nQuestion: {Q2}\nAnswer: {A2}",
    f"(1)\nQuestion: {Q1}\nAnswer: {A1}\n\n(2)\nQuestion: {Q2}\nAnswer: {A2}",
    f"| Question | Answer |\n|---|---|\n| {Q1} | {A1} |\n| {Q2} | {A2} |",
    f"Question 1: {Q1}\nAnswer 1: {A1}\n\nQuestion 2: {Q2}\nAnswer 2: {A2}",
    f"<pair>\nQuestion: {Q1}\nAnswer: {A1}\n</pair>\n<pair>\nQuestion: {Q2}\nAnswer: {A2}\n</pair>",
    f"Question: {Q1}\nAnswer: {A1}\n\n**About the action**\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n\n• • •\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n\nNow a question about the action:\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}<br>\nAnswer: {A1}<br>\n<br>\nQuestion: {Q2}<br>\nAnswer: {A2}<br>",
    f"<question>{Q1}</question>\n<answer>{A1}</answer>\n<question>{Q2}</question>\n<answer>{A2}</answer>",
    f"Question: {Q1}\nAnswer: {A1}\n\n<sep>\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n(Reasoning: the caption says so.)\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n\n第二组\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n\n##\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\n\n---\n\n**Pair 2:**\n\nQuestion: {Q2}\nAnswer: {A2}",
    f"Question: {Q1}\nAnswer: {A1}\nQA_2\nQuestion: {Q2}\nAnswer: {A2}",
    f"Q: {Q1}\nA: {A1}\n\nQ: {Q2}\nA: {A2}\n\n(2/2)",
    f"- **Q:** {Q1}\n- **A:** {A1}\n\n- **Q:** {Q2}\n- **A:** {A2}",
)
J = [{"question": Q1, "answer": A1}, {"question": Q2, "answer": A2}]


def js(**members: str) -> str:
    return json.dumps([{**J[0], **members}, J[1]], ensure_ascii=False)


add(
    "json",
    f"<think>{DRAFT}</think>{json.dumps(J)}",
    f"```json\n{json.dumps(J)}\n```<|im_end|>",
    f"<answer>{json.dumps(J)}</answer>",
    js(answer="A robin sits there【4:0†source】."),
    js(answer="A robin sits there[1]."),
    js(answer="A robin sits there.<|im_end|>"),
    js(answer="<answer>A robin sits there.</answer>"),
    js(answer="<think>hm, robin</think>A robin sits there."),
    js(answer="\\boxed{A robin sits there.}"),
    f"{json.dumps(J)}\n\nI hope this helps!",
    f"Here is the JSON:\n{json.dumps(J)}",
    f"◁think▷[1, 2]◁/think▷{json.dumps(J)}",
    js(answer="A robin sits there.</s>"),
    js(answer="A robin sits there.\n\n(2 pairs)"),
    js(question="Which bird is there?<br>"),
)


# Three pairs.

M1, N1, M2, N2 = (
    "How many people are at the table?",
    "Four people are seated around it.",
    "What are they sharing?",
    "They are sharing a large pizza with olives.",
)
M3, N3 = "What time of day might it be?", "It is probably evening, since the lamps are lit."
THREE = [(M1, N1), (M2, N2), (M3, N3)]


def three(a1: str = N1, a2: str = N2, a3: str = N3, q2: str = M2) -> str:
    return "\n\n".join(f"Question: {q}\nAnswer: {a}" for q, a in ((M1, a1), (q2, a2), (M3, a3)))


DR = "I should look at the people first. There are four of them.\nQuestion: Who is there?\nAnswer: Maybe four."
DIRTY_THREE: list[tuple[str, str]] = []


def more(family: str, *raws: str) -> None:
    DIRTY_THREE.extend((family, raw) for raw in raws)


def s(text: str, mark: str) -> str:
    """Put a mark before the full stop."""
    return text[:-1] + mark + "."


more(
    "thinking",
    f"<plan>\n{DR}\n</plan>\n\n{three()}",
    f"‹think›\n{DR}\n‹/think›\n{three()}",
    f"<|thinking|>\n{DR}\n<|/thinking|>\n{three()}",
    f"[thought]\n{DR}\n[/thought]\n\n{three()}",
    f"<THOUGHTS>\n{DR}\n</THOUGHTS>{three()}",
    f"{DR}\n</reasoning>\n{three()}",
    f"<brainstorm>{DR}</brainstorm>\n\n{three()}",
    f"⟨think⟩{DR}⟨/think⟩\n{three()}",
    f"<draft id=1>\n{DR}\n</draft>\n<final>\n{three()}\n</final>",
    f"{three()}\n<think>Did I cover everything? Yes.</think>",
    f"{three()}\n\n<reflection>\nAll pairs follow the caption.\n</reflection>",
)
more(
    "wrapper",
    f"<solution>{three()}</solution>",
    f"[OUTPUT]\n{three()}\n[/OUTPUT]",
    f"<|answer|>{three()}<|/answer|>",
    f"$\\boxed{{{three()}}}$",
    f"'''\n{three()}\n'''",
    f"<qa>\n{three()}\n</qa>\n",
    f"<root><pairs>\n{three()}\n</pairs></root>",
    f"```qa\n{three()}\n```",
    f"「{three()}」",
    f"<section>\n{three()}\n</section>\n\nHope this helps!",
    f"*{three()}*",
    f"``{three()}``",
)
more(
    "tokens",
    f"{three()}<|endofturn|>",
    f"{three()}<|eom_id|>",
    f"{three()}<end_of_utterance>",
    f"{three()}</answer></s>",
    f"{three()}<|reserved_special_token_5|>",
    f"{three()} <eos> <eos>",
    f"{three()}<|im_end|><|endoftext|>",
    f"{three()}[END_OF_TEXT]",
    three(a1=N1 + "<end_of_turn>"),
    three(a2=N2 + " </s>"),
    three(q2=M2 + " [SEP]"),
    three(a3=N3 + "\n<EOT>"),
    f"<bos>{three()}",
    f"<|begin_of_text|>{three()}",
    f"{three()}<｜Assistant｜>",
    f"{three()}▁<eod>",
    f"{three()}\n<|im_start|>user\nMore",
    f"{three()}<0x0A>",
)
more(
    "citations",
    three(a1=s(N1, "[4]")),
    three(a1=s(N1, " [2] [5]")),
    three(a1=s(N1, "[2,5]")),
    three(a1=N1 + "[7]"),
    three(a1=N1 + " [7]"),
    three(a1=s(N1, "【12†L1-L4】")),
    three(a1=s(N1, "【3】")),
    three(a1=s(N1, "[^3]")),
    three(a1=s(N1, "[^3][^4]")),
    three(a1=N1 + "⁴"),
    three(a1=s(N1, "¹,²")),
    three(a1=s(N1, "<sup>3</sup>")),
    three(a1=s(N1, " (Source: caption 2)")),
    three(a1=s(N1, " [caption 2]")),
    three(a1=s(N1, " (see source: image)")),
    three(a1=s(N1, " (https://pizza.example/a)")),
    three(a1=s(N1, " [[2]](https://pizza.example)")),
    three(a1=s(N1, "[oaicite:3]")),
    three(a1=s(N1, " [cite: 2, 3]")),
    three(a1=s(N1, " [cite_start]")),
    three(a1="[cite_start]" + s(N1, " [cite: 1]")),
    three(a1=s(N1, ':antCitation[]{citations="1"}')),
    three(a1=s(N1, " <source>2</source>")),
    three(a2="They[1] are sharing a large pizza[2] with olives[3]."),
    three(a1=s(N1, "[1]"), a2=s(N2, "[2]"), a3=s(N3, "[3]")),
    three(a1=s(N1, " ^1^")),
    three(a1=s(N1, " [Ref. 3]")),
    three(a1=s(N1, "[source]")),
    three(a2="They are sharing a large pizza【5:2†file.pdf】 with olives."),
)
more(
    "trailing",
    *(
        f"{three()}\n\n{x}"
        for x in (
            "(3 Q&A pairs)",
            "[3/3]",
            "END OF FILE",
            "<EOF>",
            "# End",
            "**END**",
            "*End of pairs*",
            "=====",
            "• • •",
            "End.",
            "Pairs: 3",
            "Word count: 57.",
            "Let me know if you'd like more variations!",
            "I hope these pairs are useful.",
            "Hope this is what you need.",
            "Note: All answers were derived from the provided caption.",
            "Note that these questions avoid mentioning the caption.",
            "(These pairs are based on the caption.)",
            "I've made sure that all questions can be answered from the image.",
            "This set of question-answer pairs covers the main aspects.",
            "If you need anything else, just ask.",
            "Thank you!",
            "Rationale: the questions go from easy to hard.",
            "Difficulty: easy",
            "Score: 5/5",
            "References:\n[1] caption 1\n[2] caption 2",
            "qa_set_03_final",
            "instruction_following_v2",
            "task_complete",
            "<|done|>",
            "✅",
            "— End of response —",
            "Is there anything else you'd like me to do?",
            "以上です。",
            "***",
            "{end}",
            "Question-answer pairs generated by the assistant.",
            "Reasoning: I looked at the caption and chose salient facts.",
            "[Note: bounding boxes were ignored.]",
            "---\nGenerated from caption data.",
            "//END",
            "###END###",
            "Number of questions: 3",
            "Language: English",
            "Image ID: 000123",
        )
    ),
)
more(
    "leading",
    *(
        f"{x}\n{three()}"
        for x in (
            "Of course! Here are 3 pairs based on the caption:\n",
            "## Response\n",
            "Response:",
            "<|assistant|>",
            "Generated QA:",
            "**Output**",
            "Final answer:",
            "Let me think. Four people.\n",
        )
    ),
)
more(
    "between",
    three().replace("\n\nQuestion", "\n\n---\n\nQuestion"),
    three().replace("\n\nQuestion", "\n\n* * *\n\nQuestion"),
    "\n\n".join(f"{i} / 3\nQuestion: {q}\nAnswer: {a}" for i, (q, a) in enumerate(THREE, 1)),
    "\n\n".join(f'<qa id="{i}">\nQuestion: {q}\nAnswer: {a}\n</qa>' for i, (q, a) in enumerate(THREE, 1)),
    "\n\n".join(f"Question: {q}\nAnswer: {a}\n[END]" for q, a in THREE),
    "\n\n".join(f"Question: {q}\nAnswer: {a}\n(Pair {i})" for i, (q, a) in enumerate(THREE, 1)),
    three().replace("\n\nQuestion", "\n\n<br>\n\nQuestion"),
    three().replace("\n\nQuestion", "\n\n\\n\nQuestion"),
    three().replace("\n\nQuestion", "\n\n&nbsp;\n\nQuestion"),
    "\n\n".join(f"QA pair #{i}\nQuestion: {q}\nAnswer: {a}" for i, (q, a) in enumerate(THREE, 1)),
    "\n\n".join(f"Question: {q}\nAnswer: {a}\nType: open" for q, a in THREE),
    "\n".join(f"{i}. **{q}**\n   {a}" for i, (q, a) in enumerate(THREE, 1)),
    "\n\n".join(f"Question: {q}\nAnswer: {a}\nConfidence: 0.9" for q, a in THREE),
)

add(
    "turns and residues",
    f"{P}\nUser: Thanks! Write more.\nAssistant: Sure.",
    f"{P}\n### Human: Write more.",
    f"{P}\n\nQ: Is it cold?\nA: Yes.",
    f"{P}\n\n**Q3:** Is it cold?\n**A3:** Yes.",
    f"{P}<0x0A><0x0A>",
    f"{P}[PAD][PAD][PAD]",
    f"{P}[|endofturn|]",
    f"{P}\u2581",
    P.replace(" ", "\u2581"),
    f"{P}\ufffd",
    pair(a1="A robin\ufffd\ufffd sits there."),
    pair(q1=f"<image>\n{Q1}"),
    pair(a1=f"<image> {A1}"),
    pair(a2=f"<video>{A2}"),
    f"{P}\n\n\u2705 Done",
    f"{P}\n\nFinal check: both answers are grounded.",
)

add(
    "citations of other forms",
    pair(a1="A robin sits there (Caption 1)."),
    pair(a1="A robin sits there (see sentence 2)."),
    pair(a1="A robin sits there (ref. 2, 3)."),
    pair(a1="A robin sits there. (1)"),
    pair(a1="A robin sits there. \u2460\u2461"),
    pair(a1="A robin sits there.\u2020"),
    pair(a1="A robin sits there. \u21a9"),
    pair(a1="A robin sits there. \u207d\u00b9\u207e"),
    pair(a1="A robin sits there. [S1]"),
    pair(a1="A robin sits there. [A1], [A2]"),
    pair(a1="A robin sits there. [turn0search3]"),
    pair(a1="A robin sits there. [[1]]"),
    pair(a1='A robin sits there. <a href="#1">[1]</a>'),
    pair(a1="<co>A robin</co: 0> sits there."),
    pair(a1="<co: 2>A robin</co: 2> sits there."),
    pair(a1="A robin sits there \\cite{caption1}."),
)
